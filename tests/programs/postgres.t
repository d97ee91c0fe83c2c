#!/bin/sh
# TAP: a PostgreSQL server with eight clients under examples/policies/postgres.pol, compared with a
# native run as the same user: initdb, pgbench, queries, what is left after a crash.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1)
if [ -z "$bin" ]; then
	must kvm && { echo "Bail out! postgresql is not installed"; exit 1; }
	echo "1..0 # SKIP no postgresql"
	exit 0
fi
new_dir
chmod 755 "$dir"
mkdir "$dir/in"
export LC_ALL=C.UTF-8 TZ=UTC0 HOME="$dir/work" PATH="$bin:/usr/bin:/bin" SECONDS_OF_LOAD="${PGBENCH_SECONDS:-10}"
cat >"$dir/in/as-nobody" <<'S'
# Natively root becomes the user that the policy makes of everybody.
[ "$(id -u)" != 0 ] || { chown -R 65534:65534 . && exec setpriv --reuid=65534 --regid=65534 --clear-groups sh "$@"; }
exec sh "$@"
S
cat >"$dir/in/cluster" <<'S'
export PGHOST=$PWD
say() { echo "== $*"; }
start() { pg_ctl -s -D db -w -l log -o "-k $PGHOST -c listen_addresses=" start; }
q() { psql -XAtq bench "$@"; }

say initdb
initdb -D db -A trust --no-sync >init.out 2>&1 || { cat init.out; exit 1; }
sed -n 1,2p init.out
grep -E '^(dynamic_shared|shared_buffers|max_conn)' db/postgresql.conf
say server
start || { cat log; exit 1; }
psql -XAtq postgres -c 'create database bench'
q -c 'show shared_memory_type; show fsync; select current_user; select version()'
say pgbench
pgbench -i -q -s 2 bench >pgbench.out 2>&1 || cat pgbench.out
pgbench -c 8 -j 2 -T "$SECONDS_OF_LOAD" bench >pgbench.out 2>&1 || cat pgbench.out
grep -E '^(number of (clients|threads|failed)|scaling)' pgbench.out
q -c 'select count(*) from pgbench_accounts' \
	-c 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history)' \
	-c 'select (select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)' \
	-c 'select count(*) > 50 from pgbench_history'
say queries
q -f queries.sql 2>&1 | sed 's/with PID [0-9]*/with its PID/'
say "backends end and are cancelled"
q -c "select pg_sleep(60)" >sleep.out 2>&1 &
sleep 0.5
q -c "select pg_cancel_backend(pid) from pg_stat_activity where query like '%pg_sleep(60)' and pid <> pg_backend_pid()"
wait
cat sleep.out
q -c 'select pg_terminate_backend(pg_backend_pid())' 2>&1 | sed 's/^psql:.*connection/connection/' | head -1
say "a backend is killed: the server starts over"
q -c 'create table kept as select generate_series(1, 1000) as i'
psql -XAtq bench -c "select pg_backend_pid()" -c "select pg_sleep(60)" >pid 2>&1 &
sleep 0.5
kill -KILL "$(head -1 pid)"
wait
i=0
until q -c 'select sum(i) from kept' 2>/dev/null || [ $i -gt 100 ]; do i=$((i + 1)); sleep 0.2; done
say "the server is killed: recovery"
kill -KILL "$(head -1 db/postmaster.pid)"
sleep 0.5
i=0
until start >/dev/null 2>&1 || [ $i -gt 20 ]; do i=$((i + 1)); sleep 0.5; done
q -c 'select sum(i), count(*) from kept'
pg_ctl -s -D db -w -m fast stop
grep -cE 'PANIC|could not (create|map|open) shared' log
ls
S
cat >"$dir/in/queries.sql" <<'S'
set max_parallel_workers_per_gather = 2;
set parallel_setup_cost = 0;
set parallel_tuple_cost = 0;
set min_parallel_table_scan_size = 0;
create table t as select i, i * 7919 % 100003 as n, md5(i::text) as s from generate_series(1, 100000) i;
analyze t;
explain (costs off) select n % 10, count(*) from t group by 1;
select n % 10, count(*), sum(length(s)) from t group by 1 order by 1;
create index on t (n);
select count(*) from t a join t b on a.i = b.n;
set work_mem = '64kB';
select md5(string_agg(s, '' order by s desc)) from t;
begin; delete from t where i % 2 = 0; savepoint a; update t set n = 0; rollback to a; commit;
select count(*), max(n) from t;
vacuum full t;
copy (select * from t order by i limit 3) to stdout with csv;
select 1 / 0;
notify x; listen x; notify x, 'y';
select pg_size_bytes('1MB'), to_tsvector('english', 'running dogs'), '{"a":[1,2]}'::jsonb -> 'a' -> 1;
S
LIMIT=280
same "postgres: initdb, pgbench with 8 clients, queries, crashes" --policy "$policies/postgres.pol" --param "data=$dir" \
	-- /bin/sh as-nobody cluster
tap_end
