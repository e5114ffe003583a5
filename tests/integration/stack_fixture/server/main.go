// A server that is as well or as unwell as a test wants it.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	listen := flag.String("listen", "", "address to listen on")
	mode := flag.String("mode", "well", "well, broken (ends at once), sick (never healthy), late (healthy after 0.5 s) or stubborn (ignores SIGTERM)")
	flag.Parse()
	begun := time.Now()

	fmt.Println("mode", *mode, "greeting", os.Getenv("GREETING"))
	switch *mode {
	case "broken":
		fmt.Println("cannot read the configuration")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if *mode == "sick" || *mode == "late" && time.Since(begun) < 500*time.Millisecond {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Query().Get("line"))
	})
	fmt.Println(http.ListenAndServe(*listen, nil))
}
