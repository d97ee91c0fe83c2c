// Two workers that share one port, a POST that is counted by the first process, and an orderly end.
const cluster = require('cluster'), http = require('http'), fs = require('fs');
const port = +process.argv[2];
if (cluster.isPrimary) {
	let sum = 0, up = 0;
	for (let i = 0; i < 2; i++)
		cluster.fork().on('message', m => { sum += m; });
	cluster.on('listening', () => { if (++up == 2) fs.writeFileSync(__dirname + '/data/up', '2'); });
	process.on('SIGTERM', () => {
		for (const id in cluster.workers)
			cluster.workers[id].kill();
	});
	cluster.on('exit', () => {
		if (Object.keys(cluster.workers).length == 0) {
			console.log('sum ' + sum);
			process.exit(0);
		}
	});
} else {
	http.createServer((req, res) => {
		if (req.method == 'POST') {
			let n = 0;
			req.on('data', d => { n += d.length; });
			req.on('end', () => { process.send(n); res.end('got ' + n + '\n'); });
		} else {
			res.end('worker ' + cluster.worker.id + '\n');
		}
	}).listen(port, '127.0.0.1');
}
