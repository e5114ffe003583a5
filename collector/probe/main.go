// The health check of a container whose image has no shell and no other program: a GET of the URL that is its one
// argument, and exit code 0 if that answers 2xx within five seconds.
package main

import (
	"fmt"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) != 2 {
		fail("usage: probe URL")
	}
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(os.Args[1])
	if err != nil {
		fail(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		fail(os.Args[1], " answers ", answer.Status)
	}
}

func fail(why ...any) {
	fmt.Fprintln(os.Stderr, fmt.Sprint(why...))
	os.Exit(1)
}
