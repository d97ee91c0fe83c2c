#!/bin/sh
# TAP: language runtimes under examples/policies/runtime.pol, compared with native runs: ruby, lua,
# perl, node with npm, Java with its compiler, Go with its.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
new_dir
mkdir "$dir/in"
cp "$srcdir"/tests/programs/src/* "$dir/in/"
export LC_ALL=C.UTF-8 TZ=UTC0 HOME="$dir/work" PATH=/usr/local/bin:/usr/bin:/bin
export TMPDIR=/tmp LIMIT=200
opts="--policy $policies/runtime.pol --param work=$dir"

# r PROGRAM DESCRIPTION COMMAND...: skips where the program is not installed, unless it must be.
r() {
	if ! command -v "$1" >/dev/null; then
		must kvm && tap_not_ok "$2: $1 is not installed" || tap_skip "$2" "no $1"
		return
	fi
	desc=$2
	shift 2
	same "$desc" $opts -- "$@"
}

r ruby "ruby: threads, processes, sockets, files" /usr/bin/ruby -W0 ruby.rb
r lua5.4 "lua: coroutines, pipes, files" /usr/bin/lua5.4 prog.lua
r perl "perl: processes, signals, sockets, files" /usr/bin/perl prog.pl
r node "node: worker_threads, child_process, files" /usr/bin/node workers.js

mkdir -p "$dir/in/pkg/node_modules/a/node_modules/b" "$dir/in/pkg/node_modules/c"
echo '{"name":"pkg","version":"1.0.0","dependencies":{"a":"1.0.0","c":"^2.0.0","d":"*"}}' >"$dir/in/pkg/package.json"
echo '{"name":"a","version":"1.0.0","dependencies":{"b":"1.0.0"}}' >"$dir/in/pkg/node_modules/a/package.json"
echo '{"name":"b","version":"1.0.0"}' >"$dir/in/pkg/node_modules/a/node_modules/b/package.json"
echo '{"name":"c","version":"2.1.0"}' >"$dir/in/pkg/node_modules/c/package.json"
npm_config_update_notifier=false
export npm_config_update_notifier
r npm "npm ls" /bin/sh -c 'cd pkg && npm ls --all; echo $?; npm pkg get name version'

r javac "java: javac, then threads, memory, processes, sockets" /bin/sh -c \
	'javac -d out Threads.java && java -Xmx256m -cp out Threads'
r java "java: hello, by the interpreter alone" /bin/sh -c 'echo "class H { public static void main(String[] a) { System.out.println(\"hello \" + a.length); } }" >H.java &&
	java -Xint H.java x y'

GOCACHE=$dir/work/cache GOPROXY=off GOFLAGS=-trimpath CGO_ENABLED=0 GOPATH=$dir/work/go
export GOCACHE GOPROXY GOFLAGS CGO_ENABLED GOPATH
AFTER='sha256sum main'
r go "go: build, then goroutines, sockets, children" /bin/sh -c 'go build -o main main.go && ./main; echo $?; go vet main.go'
tap_end
