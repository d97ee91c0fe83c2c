#!/bin/sh
# TAP, a big test: servers with worker processes or threads under the policies made for them, with many
# requests at a time: nginx, redis-server, node's cluster, python3's http.server.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
PATH=$PATH:/usr/sbin
here=$(cd "$srcdir/tests/programs" && pwd -P)
new_dir
server=
trap '[ -z "$server" ] || kill -KILL $server 2>/dev/null; rm -rf "$dir"' EXIT
port=$((21000 + $$ % 20000))
requests=${SERVERS_REQUESTS:-50000}

check() { # description, expected, got
	if [ "$2" = "$3" ]; then tap_ok "$1"; else
		{ printf 'expected %s, got %s\n' "$2" "$3"; tail -20 "$dir/out"; } >"$dir/why" 2>/dev/null
		tap_not_ok "$1" "$dir/why"
	fi
}
# Does the machine have the programs? Else a failure where it must, or a skip.
have() {
	for p in "$@"; do
		command -v "$p" >/dev/null && continue
		if must kvm; then echo "no $p" >"$dir/why"; tap_not_ok "$p is installed" "$dir/why"; else tap_skip "$1" "no $p"; fi
		return 1
	done
}
# start POLICY [--param X=Y]... -- COMMAND...
start() {
	policy=$1
	shift
	opts=
	while [ "$1" != -- ]; do opts="$opts $1"; shift; done
	shift
	# shellcheck disable=SC2086 # options hold no spaces
	"$SBX" --policy "$policies/$policy.pol" --param port=$port $opts --log "$dir/log" run "$@" >"$dir/out" 2>&1 </dev/null &
	server=$!
}
# Waits until something answers.
await() {
	i=0
	until "$@" >/dev/null 2>&1; do
		i=$((i + 1))
		[ $i -lt 300 ] && kill -0 $server 2>/dev/null || return 1
		sleep 0.1
	done
}
finish() { # description, signal, expected status
	kill "-$2" $server 2>/dev/null
	(sleep 60; kill -KILL $server) 2>/dev/null &
	guard=$!
	wait $server
	check "$1" "$3" $?
	kill $guard 2>/dev/null
	server=
	"$SBX" audit verify "$dir/log" >"$dir/why" 2>&1 && tap_ok "its audit log is whole" || tap_not_ok "its audit log is whole" "$dir/why"
}
# load DESCRIPTION COUNT OPTIONS... URL: every request of COUNT is answered with what was asked for.
load() {
	desc=$1 count=$2
	shift 2
	timeout -k 5 200 ab -q -s 60 -n "$count" "$@" >"$dir/ab" 2>&1
	if grep -q "^Complete requests: *$count$" "$dir/ab" && grep -q "^Failed requests: *0$" "$dir/ab" &&
		! grep -q "^Non-2xx" "$dir/ab"; then
		tap_ok "$desc"
		sed -n 's/^\(Requests per second: *[0-9.]*\).*/# \1/p' "$dir/ab"
	else
		tap_not_ok "$desc" "$dir/ab"
	fi
}

mkdir -p "$dir/www/.git"
echo hello >"$dir/www/index.html"
head -c 300000 /dev/urandom >"$dir/www/blob"
echo secret >"$dir/www/.git/config"
url=http://127.0.0.1:$port

if have nginx ab curl; then
	mkdir "$dir/state"
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		worker_processes 2;
		pid $dir/state/pid;
		error_log $dir/state/error.log;
		events { worker_connections 256; }
		http {
			log_format who '\$pid \$status \$request_uri';
			access_log $dir/state/access.log who;
			client_body_temp_path $dir/state/body;
			proxy_temp_path $dir/state/proxy;
			fastcgi_temp_path $dir/state/fastcgi;
			uwsgi_temp_path $dir/state/uwsgi;
			scgi_temp_path $dir/state/scgi;
			sendfile on;
			keepalive_requests 1000;
			server {
				listen 127.0.0.1:$port;
				root $dir/www;
			}
		}
	END
	start nginx --param "root=$dir/www" --param "conf=$dir/nginx.conf" --param "state=$dir/state" \
		-- "$(command -v nginx)" -c "$dir/nginx.conf"
	await curl -sf $url/ && tap_ok "nginx serves" || tap_not_ok "nginx serves" "$dir/out"
	load "nginx: kept connections" $((requests - requests / 25)) -k -c 16 $url/index.html
	load "nginx: a connection for each request" $((requests / 25)) -c 16 $url/index.html
	curl -s -m 20 $url/blob | cmp -s - "$dir/www/blob" && tap_ok "nginx: a large file by sendfile" || tap_not_ok "nginx: a large file by sendfile" "$dir/out"
	check "nginx: a hidden file is not found" 404 "$(curl -s -m 20 -o /dev/null -w '%{http_code}' $url/.git/config)"
	check "nginx: both workers answered" 2 "$(awk '$2 == 200 { print $1 }' "$dir/state/access.log" | sort -u | wc -l)"
	check "nginx: each request is in its log" $((requests)) "$(grep -c ' 200 /index.html' "$dir/state/access.log")"
	finish "nginx ends in order" QUIT 0
fi

if have redis-server redis-cli redis-benchmark; then
	mkdir "$dir/data"
	cli="timeout -k 1 20 redis-cli -p $port"
	redis() {
		start redis --param "data=$dir/data" -- "$(command -v redis-server)" --dir "$dir/data" --bind 127.0.0.1 --port $port
		await redis-cli -p $port ping
	}
	redis && tap_ok "redis-server serves" || tap_not_ok "redis-server serves" "$dir/out"
	if timeout -k 5 120 redis-benchmark -p $port -n 5000 -c 20 -q --csv -t ping,set,get,incr,lpush,lrange_100,mset >"$dir/bench" 2>&1 &&
		[ "$(grep -c '^"[A-Z].*","[0-9.]*"' "$dir/bench")" -ge 7 ]; then
		tap_ok "redis-benchmark"
		sed -n 's/^"\([^"]*\)","\([0-9.]*\)".*/# \1 \2/p' "$dir/bench"
	else
		tap_not_ok "redis-benchmark" "$dir/bench"
	fi
	$cli set greeting "hello there" >"$dir/why"
	check "redis: SAVE" OK "$($cli save)"
	check "redis: BGSAVE in a child" "Background saving started" "$($cli bgsave)"
	await sh -c "redis-cli -p $port info persistence | tr -d '\r' | grep -q '^rdb_bgsave_in_progress:0'"
	check "redis: the child succeeded" rdb_last_bgsave_status:ok "$($cli info persistence | tr -d '\r' | grep rdb_last_bgsave_status)"
	$cli config set appendonly yes >"$dir/why"
	$cli set counted 7 >"$dir/why"
	# It does not end while a child writes the first such file.
	await sh -c "redis-cli -p $port info persistence | tr -d '\r' | grep -q '^aof_rewrite_in_progress:0' && ls '$dir'/data/appendonlydir/*.base.* >/dev/null"
	finish "redis-server ends in order" TERM 0
	redis
	check "redis: the data is there again" "hello there" "$($cli get greeting)"
	finish "redis-server ends in order again" TERM 0
fi

if have node ab curl; then
	mkdir -p "$dir/app/data"
	cp "$here/cluster.js" "$dir/app/"
	start node-web --param "app=$dir/app" -- "$(realpath "$(command -v node)")" "$dir/app/cluster.js" $port
	await [ -e "$dir/app/data/up" ] && tap_ok "node serves with two workers" || tap_not_ok "node serves with two workers" "$dir/out"
	load "node: requests" 1000 -c 8 $url/
	check "node: both workers answer" "worker 1 worker 2" "$(for i in 1 2 3 4; do curl -s -m 20 $url/; done | sort -u | tr '\n' ' ' | sed 's/ $//')"
	check "node: a POST" "got 50000" "$(head -c 50000 /dev/zero | curl -s -m 20 --data-binary @- $url/)"
	finish "node ends in order" TERM 0
	check "node: the first process heard of the POST" "sum 50000" "$(tail -1 "$dir/out")"
fi

if have /usr/bin/python3 ab; then
	start web --param "root=$dir/www" -- /usr/bin/python3 -m http.server --directory "$dir/www" --bind 127.0.0.1 $port
	await curl -sf $url/ && tap_ok "http.server serves" || tap_not_ok "http.server serves" "$dir/out"
	load "http.server: a thread for each connection" 500 -c 16 $url/blob
	finish "http.server ends by its signal" TERM 143
fi
tap_end
