// Package relocate finds the values that make a chart pull its images from a
// private registry, and proves them by rendering.
//
// It knows no chart, no author and no convention by name. It asks the chart
// itself: put a text that occurs nowhere else (a sentinel) into a value, render,
// and see in which references it shows up, and where in them.
//
//	Derive(chart, values, target):
//	    findings = references of a render with the user's values
//	    spots    = findings with a target, each a position with the text wanted there
//	    repeat                                         // relocate.go
//	        overrides, refused = nothing
//	        for each stage of candidate slots:         // candidates.go, templates.go, stages.go
//	            put a sentinel into every slot; render // probe.go
//	            for each spot that reads A+sentinel+B: // sentinel.go
//	                if its target is A+V+B: the slot wants V
//	            set the slots to what they want; render
//	            keep them if spots moved and none was lost
//	        set paths too where targets have others    // rename.go
//	        change digests and tags where targets ask  // pins.go
//	        drop every key that is not needed          // prune.go
//	        move settings that name the old hosts      // hosts.go
//	        put the pull secret into the pods          // secrets.go, secretslots.go
//	        render strictly, as helm install does      // verify.go
//	            switch on what the chart's message asks for, if it is harmless
//	            if it refuses some keys: ban them, and repeat
//	    compare the renders without and with them      // compare.go, alter.go
//
// # Slots
//
// A slot is a place in the values that may hold the beginning of references: a
// value that begins one (docker.io, quay.io/acme, nginx:1.27), a word of a
// longer text that does, an empty value whose key says registry or image, or a
// key that only the templates know. A value in a list is set by carrying the
// whole list. Tags and digests are never touched unless the target asks for
// others.
//
// What a slot wants follows from the text alone. If the sentinel for
// docker.io/acme is read in front of "/web:1.2", and the target is
// reg:5000/acme/web:1.2, then the slot wants reg:5000/acme. The same rule covers
// registries, namespaces, repositories, whole references and trailing slashes.
//
// Where the target has another path, and the chart keeps registry and path in two
// values, no single slot has an answer: reg:5000/docker.io--acme--web:1.2 does not end
// in what follows docker.io. The value of the path is set first then, and what is still
// missing is a registry, as anywhere.
//
// # Stages
//
// A sentinel in a registry hides what stands behind it, and a key that every
// subchart listens to moves more than one of a single component. So the stages
// go from global to local, from keys of the values to guesses, from registries
// to repositories; each works on the spots that are left. Slots that different
// spots want different values for come last.
//
// Slots that exclude each other come apart: where a sentinel has a spot vanish, the
// slots are tried in halves, and slots that a template reads are tried without each
// other where nothing moved.
//
// # Nothing else
//
// Positions name the elements of lists and the documents (see package chart), so what
// adds a container never passes for what moves the image of another one. A value that
// does more than move references is refused ([Left].Keys names it), unless it is a
// registry: what charts do by themselves when one is set is in [Result.Altered], and
// the result is not complete. Checksums, labels and texts that a value is written
// into are in [Result.Changed]; only the checksum of a template of which nothing but
// references changed, which can be computed, is taken for explained.
//
// A chart's message may ask for a value before it accepts other images. It is set
// ([Result.Unlocked]) if its key speaks of images and nothing that is rendered
// changes with it; otherwise it is advice ([Left].Asks).
//
// There are at most 400 renders and then the proof. A result that was cut short says
// so ([Result.Short]).
//
// # Two ways to render
//
// Probing renders leniently: checks do not count and keys are not generated,
// which makes it fast. The proof renders as helm install does, on a fresh copy
// of the chart, with schema, notes and checks. Which keys a chart refuses is asked of
// its checks alone, and of whole renders where those do not know; what is returned was
// rendered whole ([Result.Proved]). What values cannot move is named
// in [Result.Left], with the reason; places that still name a host, but no image,
// are in [Result.Named]. [Result.Remarks] are what no list of references shows:
// downloads of programs while they run, and resources whose operators choose images.
//
// # Pull secrets
//
// The same question is asked for the name of a pull secret, in each shape that a
// key may want: a list of maps, a list of names, one name. What counts is what
// Kubernetes makes of the pods: the secrets in a pod's own specification, or if it
// has none those of its service account. Secrets that are named already stay.
//
// # Components that are off
//
// [Disabled] switches on what is off, one at a time, and lists the images that
// appear.
//
// # Example
//
//	res, err := relocate.Derive(ctx, relocate.Request{
//		Chart:  c,
//		Render: chart.RenderOptions{Values: values},
//		Target: func(raw string) (string, bool) {
//			return written.Target(raw, "registry.plant.local:5000", false), true
//		},
//	})
//	if err != nil {
//		return err
//	}
//	os.Stdout.Write(relocate.FormatYAML(res, []string{"Values for " + c.Name()}))
package relocate
