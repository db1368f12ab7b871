package remote

import (
	"errors"
	"fmt"
)

// About says what err is about, unless it is an [Error], which says it itself.
func About(subject string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		return err
	}
	return fmt.Errorf("%s: %w", subject, err)
}
