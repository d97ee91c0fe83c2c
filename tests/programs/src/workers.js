// worker_threads, child_process, files, streams, signals.
const { Worker, isMainThread, parentPort, workerData, MessageChannel } = require('worker_threads');
const cp = require('child_process');
const crypto = require('crypto');
const fs = require('fs');
const os = require('os');
const zlib = require('zlib');

function once(e, name) { return new Promise(done => e.once(name, done)); }

async function main() {
	const sums = [1, 2, 3, 4].map(k => once(new Worker(__filename, { workerData: { k } }), 'message'));
	console.log(await Promise.all(sums));

	const shared = new SharedArrayBuffer(8), cells = new Int32Array(shared);
	const w = new Worker(`const { workerData } = require('worker_threads');
		const a = new Int32Array(workerData);
		for (let i = 0; i < 1000; i++) Atomics.add(a, 0, 1);
		Atomics.store(a, 1, 1); Atomics.notify(a, 1); setInterval(() => {}, 1000);`, { eval: true, workerData: shared });
	console.log(Atomics.wait(cells, 1, 0, 20000) !== 'timed-out', cells[0]);
	console.log('terminated', await w.terminate());
	const failing = new Worker('throw new Error("inside")', { eval: true });
	console.log((await once(failing, 'error')).message);

	const { port1, port2 } = new MessageChannel();
	port1.postMessage({ big: new Uint8Array(100000) });
	console.log((await once(port2, 'message')).big.length);
	port1.close();

	console.log(cp.execFileSync('sh', ['-c', 'echo sync']).toString().trim());
	try { cp.execSync('exit 7', { stdio: 'ignore' }); } catch (e) { console.log('status', e.status); }
	console.log(cp.spawnSync('sleep', ['9'], { timeout: 100 }).signal);
	console.log(cp.spawnSync('/nonexistent').error.code);
	const cat = cp.spawn('cat');
	let length = 0;
	cat.stdout.on('data', d => length += d.length);
	cat.stdin.end('x'.repeat(500000));
	console.log(await once(cat, 'close'), length);
	const child = cp.fork(__filename, ['child']);
	child.send({ n: 20 });
	console.log(await once(child, 'message'));
	child.disconnect();
	console.log(await once(child, 'exit'));

	await fs.promises.mkdir('d/e', { recursive: true });
	await Promise.all([...Array(50).keys()].map(i => fs.promises.writeFile(`d/f${i}`, 'x'.repeat(i))));
	console.log((await fs.promises.readdir('d')).length, (await fs.promises.stat('d/f49')).size);
	await fs.promises.cp('d', 'copy', { recursive: true });
	await fs.promises.rm('d', { recursive: true });
	console.log(fs.existsSync('d'), fs.readdirSync('copy').length);
	const gz = fs.createReadStream(__filename).pipe(zlib.createGzip()).pipe(fs.createWriteStream('gz'));
	await once(gz, 'finish');
	console.log(zlib.gunzipSync(fs.readFileSync('gz')).equals(fs.readFileSync(__filename)));
	console.log(crypto.pbkdf2Sync('a', 'b', 1000, 16, 'sha1').toString('hex'));

	const alive = setInterval(() => {}, 1000), hit = once(process, 'SIGUSR2');
	process.kill(process.pid, 'SIGUSR2');
	console.log(await hit);
	clearInterval(alive);
	console.log(process.memoryUsage().rss > 0, os.cpus().length > 0, os.totalmem() > 0, process.uptime() > 0);
	process.exitCode = 4;
}

if (!isMainThread) {
	let s = 0;
	for (let i = 0; i < 1e6; i++) s = (s + i * workerData.k) % 1000003;
	parentPort.postMessage(s);
} else if (process.argv[2] === 'child') {
	process.on('message', m => process.send(m.n + 1));
} else {
	main();
}
