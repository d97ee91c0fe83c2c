#!/bin/sh
# TAP: programs that walk, copy and pack trees of files, under examples/policies/shell.pol and tools.pol,
# compared with native runs: tar, rsync, findutils, coreutils, git, sqlite3, imagemagick.
: "${srcdir:=.}"
. "$srcdir/tests/lib.sh"
big_test
need_sbx
new_dir
mkdir "$dir/in"
cd "$dir/in" || exit 1
export LC_ALL=C TZ=UTC0 HOME="$dir/work" PATH=/usr/local/bin:/usr/bin:/bin
shell="--policy $policies/shell.pol --param work=$dir"
mkdir -p t/a/b/c t/empty "t/with space"
i=0
while [ $i -lt 300 ]; do
	i=$((i + 1))
	printf 'file %d\n' $i >"t/a/f$i"
done
head -c 300000 /dev/zero | tr '\0' x >t/a/b/big
truncate -s 5000000 t/a/b/sparse
echo data >>t/a/b/sparse
ln t/a/f1 t/hard
ln -s a/f2 t/soft
ln -s /nonexistent t/dangling
mkfifo t/fifo
echo x >"t/with space/x
y"
chmod 750 t/a/b
chmod 600 t/a/f4
find t -exec touch -h -d 2020-02-02T02:02:02Z {} +

# s PROGRAM DESCRIPTION SCRIPT: a shell script that needs the program.
s() {
	if ! command -v "$1" >/dev/null; then
		must kvm && tap_not_ok "$2: $1 is not installed" || tap_skip "$2" "no $1"
		return
	fi
	same "$2" $shell -- /bin/sh -c "$3"
}
listing='find t copy x -printf "%p %y %m %n %s %l %TY-%Tm-%Td\n" 2>/dev/null | sed "/ d /s/ [0-9]* [0-9]*  / /" | sort'

AFTER=$listing
s tar "tar: pack and unpack, sparse files, links, fifos" 'tar --sort=name --numeric-owner -cSf t.tar t && mkdir x && tar -xpf t.tar -C x &&
	tar --compare -f t.tar && tar -tvf t.tar --numeric-owner | wc -l && tar --exclude="f*" -cf - t | tar -tf - | head -20; tar -xf t.tar t/none; echo $?'
s tar "tar: incremental, and compressed by a child" 'tar -g snap -czf full.tgz t && echo new >t/a/new && rm t/a/f9 && tar -g snap -czf inc.tgz t &&
	tar -tzf inc.tgz | grep -v "/f[0-9]*$" && mkdir x && tar -xzf full.tgz -C x -g /dev/null && tar -xzf inc.tgz -C x -g /dev/null && ls x/t/a | wc -l'
s rsync "rsync: copy, change, delete, checksum" 'rsync -aHS --stats t/ copy | grep "^Number of" && echo changed >t/a/f5 && rm t/a/f6 &&
	rsync -aHSi --delete t/ copy && rsync -aHSc --itemize-changes t/ copy && rsync -a --link-dest=../copy t/ x && ls x/a | wc -l; rsync none x; echo $?'
s find "find and xargs" 'find t -newermt 2019-01-01 -type f -size +100k | sort; find t -perm 600 -o -type p -o -type l | sort; find t -empty | sort
	find t -name "f1?" -print0 | xargs -0 -n 3 -P 2 echo | tr " " "\n" | sort; find t -depth -name "f2*" -delete; ls t/a | wc -l
	find t -samefile t/hard | sort; find t -xtype l; find t -name "f3?" -execdir sh -c "echo \$0" {} \; | sort; find none; echo $?'
s cp "coreutils: cp, mv, ln, rm on trees" 'cp -a t copy && diff -r --no-dereference t/a copy/a && cp --sparse=always t/a/b/sparse s && cmp s t/a/b/sparse && mv t/a x &&
	cp -al copy/a t/a && rm -rf copy && ls -l t/a | wc -l; cp -u t/hard t/a/f1; install -D -m 640 t/hard d/e/f && stat -c "%a %s" d/e/f
	ln -sfn a t/link && readlink -f t/link | sed "s,.*/work,,"; mv -n t/hard t/soft; ls t; rmdir t; echo $?; rm -r none; echo $?'
AFTER=
s sort "coreutils: text" 'seq 1 30000 | shuf --random-source=/bin/ls | sort -n --parallel=2 -S 100k -T . | md5sum; seq 100 | split -l 9 --filter="wc -l" | sort | uniq -c
	seq 20 | tac | paste - - | column -t 2>/dev/null || true; seq 50 | csplit -sf part - 10 30 && wc -l part*; join t/a/f1 t/a/f1; numfmt --to=iec 5000000
	(echo a; sleep 0.2; echo b) | tail -f -n 1 --pid=$$ - 2>/dev/null | head -c 0; stdbuf -oL echo line | cat; timeout -s INT 0.1 sleep 5; echo $?
	od -An -tx1 -N8 t/a/f7; du -s --apparent-size t/a/b/big; df . >/dev/null && echo df; sync t/a/f1; echo $?; dd if=t/a/b/big bs=1k count=3 skip=1 status=none | md5sum
	nproc --all >/dev/null; printf "%s\n" "$(date -d @0)"; truncate -s 10M big && fallocate -l 1M alloc 2>/dev/null; stat -c %s big; mktemp -u XXX | wc -c; factor 12345678901; pr -l 20 t/a/f1 | wc -l'
export GIT_AUTHOR_DATE='2020-01-01T00:00:00Z' GIT_COMMITTER_DATE='2020-01-01T00:00:00Z' GIT_CONFIG_NOSYSTEM=1
export GIT_AUTHOR_NAME=n GIT_AUTHOR_EMAIL=e@x GIT_COMMITTER_NAME=n GIT_COMMITTER_EMAIL=e@x
s git "git: branches, merges, rebase, stash, clone, fetch, gc, bisect" 'set -e; git init -q -b main r; cd r; cp -r ../t/a .; git add .; git commit -qm one
	git checkout -qb side; echo side >>a/f1; git commit -qam side; git checkout -q main; echo main >>a/f2; git commit -qam main; git merge -q -m merge side
	git log --graph --format="%h %s"; git checkout -qb topic HEAD~1; echo t >>a/f3; git commit -qam topic; git rebase -q main; git log --format=%s -3
	echo dirty >>a/f4; git stash -q; git status --short; git stash pop -q; git diff --stat; git commit -qam dirty
	git clone -q . ../c; git clone -q --no-local --depth 1 "file://$PWD" ../shallow; git clone -q --bare . ../b.git; git -C ../c log --oneline | wc -l
	git tag v1; git -C ../c fetch -q --tags; git -C ../c tag; git -C ../c commit -q --allow-empty -m c; git -C ../c push -q origin HEAD:pushed; git branch
	git repack -qad; git gc -q --prune=now; git fsck --strict; git count-objects -v | grep -E "^(packs|in-pack|garbage)"
	git bisect start -q HEAD HEAD~3 >/dev/null; git bisect run sh -c "! grep -q ^t a/f3" | grep "first bad"; git bisect reset -q; git archive HEAD | tar -t | wc -l
	git grep -c "file 1" | wc -l; git blame -s a/f1; git worktree add -q ../w main; git worktree list | wc -l; git rm -q a/f8; git reset -q --hard; git rev-parse HEAD'

cat >writers.sql <<'S'
PRAGMA journal_mode=WAL;
PRAGMA busy_timeout=20000;
CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, who TEXT, v BLOB);
S
s sqlite3 "sqlite3: four writers and a reader on one database, WAL and rollback journals" 'for mode in WAL DELETE TRUNCATE; do
	sed "s/WAL/$mode/" writers.sql | sqlite3 $mode.db >/dev/null
	for w in 1 2 3 4; do { echo "PRAGMA busy_timeout=20000;"; seq 1 15 | sed "s/.*/BEGIN IMMEDIATE; INSERT INTO t(who, v) VALUES (\"w$w\", zeroblob(3000)), (\"w$w\", randomblob(100)); COMMIT;/"; } | sqlite3 $mode.db >/dev/null & done
	sqlite3 -cmd ".timeout 20000" $mode.db "select count(*) >= 0 from t"; wait
	sqlite3 -cmd ".timeout 20000" $mode.db "select who, count(*) from t group by 1; pragma integrity_check; vacuum; select count(*), sum(length(v)) from t"; done
	sqlite3 WAL.db "create virtual table f using fts5(x); insert into f select who from t; select count(*) from f where f match \"w1\""
	sqlite3 WAL.db .dump | sqlite3 copy.db; sqlite3 copy.db "attach \"WAL.db\" as w; select count(*) from (select who from t except select who from w.t)"'

if command -v convert >/dev/null; then
	AFTER='identify -format "%w %h %m %#\n" out.*'
	t() { desc=$1; shift; same "$desc" --policy "$policies/tools.pol" --param "work=$dir" -- "$@"; }
	t "imagemagick: draw, blur, resize" /usr/bin/convert -seed 7 -size 640x480 plasma:red-blue -swirl 90 -blur 0x3 -resize 50% -depth 8 out.ppm
	t "imagemagick: from format to format" /usr/bin/convert -size 300x200 gradient:yellow-green -rotate 30 -quality 80 -strip out.png out.gif
elif must kvm; then
	tap_not_ok "imagemagick is not installed"
else
	tap_skip "imagemagick" "not installed"
fi
tap_end
