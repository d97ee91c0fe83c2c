// Goroutines, channels, children, sockets, files, the collector.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"sort"
	"sync"
	"syscall"
	"time"
)

func goroutines() {
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for i := 0; i < 1000; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			s := 0
			for j := 0; j < 10000; j++ {
				s += j % (i + 1)
			}
			mu.Lock()
			total += s
			mu.Unlock()
		}(i)
	}
	wg.Wait()
	c := make(chan int)
	go func() {
		for i := 0; i < 20000; i++ {
			c <- i
		}
		close(c)
	}()
	for v := range c {
		total += v
	}
	fmt.Println(total, runtime.NumCPU() > 0)
}

func sockets() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // splice where the kernel has it
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	n := make([]int, 20)
	for i := range n {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			c, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				fmt.Println(err)
				return
			}
			defer c.Close()
			go c.Write(make([]byte, 100000))
			n[i], _ = io.ReadFull(c, make([]byte, 100000))
		}(i)
	}
	wg.Wait()
	sort.Ints(n)
	fmt.Println(n[0], n[len(n)-1])
	c, _ := net.Dial("tcp", l.Addr().String())
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded))
}

func main() {
	goroutines()
	sockets()
	out, err := exec.Command("sh", "-c", "echo child; exit 3").CombinedOutput()
	fmt.Print(string(out), err, "\n")
	hit := make(chan os.Signal, 1)
	signal.Notify(hit, syscall.SIGUSR1)
	syscall.Kill(os.Getpid(), syscall.SIGUSR1)
	fmt.Println(<-hit)
	m := map[string]int{}
	for i := 0; i < 300000; i++ {
		m[fmt.Sprint(i%1000)] += i
	}
	runtime.GC()
	fmt.Println(len(m), m["7"])
	func() {
		defer func() { fmt.Println("recovered:", recover()) }()
		var p *int
		*p = 1
	}()
	f, _ := os.CreateTemp(".", "x")
	f.WriteString("abc")
	f.Close()
	st, _ := os.Stat(f.Name())
	fmt.Println(st.Size(), st.Mode())
	_, err = os.Open("/nonexistent")
	fmt.Println(err)
	os.Exit(6)
}
