// A server that is as well or as unwell as a test wants it.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	listen := flag.String("listen", "", "address to listen on")
	mode := flag.String("mode", "well", "well, broken (ends at once), sick (never healthy) or stubborn (ignores SIGTERM)")
	flag.Parse()

	fmt.Println("mode", *mode, "greeting", os.Getenv("GREETING"))
	switch *mode {
	case "broken":
		fmt.Println("cannot read the configuration")
		os.Exit(3)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	}
	http.HandleFunc("/health", func(w http.ResponseWriter, _ *http.Request) {
		if *mode == "sick" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	http.HandleFunc("/say", func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.URL.Query().Get("line"))
	})
	fmt.Println(http.ListenAndServe(*listen, nil))
}
