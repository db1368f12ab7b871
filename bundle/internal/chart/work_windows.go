package chart

import (
	"time"

	"golang.org/x/sys/windows"
)

// processorTime is what the process has used so far, or zero.
func processorTime() time.Duration {
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &created, &exited, &kernel, &user); err != nil {
		return 0
	}
	return span(kernel) + span(user)
}

// span is a time that lasted so many times 100 ns; [windows.Filetime.Nanoseconds] is
// for those of the calendar.
func span(t windows.Filetime) time.Duration {
	return time.Duration(int64(t.HighDateTime)<<32|int64(t.LowDateTime)) * 100
}
