import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;

/** Threads, the collector, processes, sockets and mapped files. */
public class Threads {
	static long work(int k) {
		long s = 0;
		for (int j = 0; j < 100000; j++)
			s += (j * 31L + k) % 97;
		return s;
	}

	static void threads() throws Exception {
		ExecutorService pool = Executors.newFixedThreadPool(8);
		List<Future<Long>> all = new ArrayList<>();
		for (int i = 0; i < 64; i++) {
			int k = i;
			all.add(pool.submit(() -> work(k)));
		}
		long total = 0;
		for (Future<Long> f : all)
			total += f.get();
		pool.shutdown();
		AtomicInteger n = new AtomicInteger();
		int[] locked = new int[1];
		Thread[] threads = new Thread[50];
		for (int i = 0; i < threads.length; i++) {
			threads[i] = new Thread(() -> {
				for (int j = 0; j < 1000; j++) {
					n.incrementAndGet();
					synchronized (locked) {
						locked[0]++;
					}
				}
			});
			threads[i].start();
		}
		for (Thread t : threads)
			t.join();
		System.out.println(total + " " + n + " " + locked[0]);
		System.out.println(LongStream.range(0, 1000000).parallel().map(x -> x * x % 1009).sum());
	}

	static void garbage() {
		List<byte[]> kept = new ArrayList<>();
		for (int i = 0; i < 3000; i++) {
			kept.add(new byte[100000]);
			if (kept.size() > 100)
				kept.clear();
		}
		System.gc();
		try {
			kept.add(new byte[Integer.MAX_VALUE - 8]);
		} catch (OutOfMemoryError e) {
			System.out.println("out of memory");
		}
		int[] depth = new int[1];
		try {
			recurse(depth);
		} catch (StackOverflowError e) {
			System.out.println("stack overflow " + (depth[0] > 1000));
		}
		try {
			Object o = null;
			o.hashCode();
		} catch (NullPointerException e) {
			System.out.println("null pointer");
		}
	}

	static void recurse(int[] depth) {
		depth[0]++;
		recurse(depth);
	}

	static void outside() throws Exception {
		Process p = new ProcessBuilder("sh", "-c", "echo child; exit 3").start();
		System.out.print(new String(p.getInputStream().readAllBytes()));
		System.out.println(p.waitFor());
		Process slow = new ProcessBuilder("sleep", "60").start();
		slow.destroy();
		System.out.println(slow.waitFor());
		try (ServerSocket s = new ServerSocket(0, 5, InetAddress.getLoopbackAddress())) {
			Thread t = new Thread(() -> {
				try (Socket c = s.accept()) {
					c.getOutputStream().write("over tcp".getBytes());
				} catch (IOException e) {
					System.out.println(e);
				}
			});
			t.start();
			try (Socket c = new Socket(s.getInetAddress(), s.getLocalPort())) {
				System.out.println(new String(c.getInputStream().readAllBytes()));
			}
			t.join();
		}
		Path file = Path.of("mapped");
		try (FileChannel c = FileChannel.open(file, StandardOpenOption.CREATE, StandardOpenOption.READ,
				StandardOpenOption.WRITE)) {
			ByteBuffer b = c.map(FileChannel.MapMode.READ_WRITE, 0, 1 << 20);
			for (int i = 0; i < 1 << 20; i += 4)
				b.putInt(i, i);
			System.out.println(c.size() + " " + (c.tryLock() != null));
		}
		System.out.println(Files.readAllBytes(file)[5] + " " + Files.getPosixFilePermissions(file).size());
	}

	public static void main(String[] args) throws Exception {
		threads();
		garbage();
		outside();
		Runtime.getRuntime().addShutdownHook(new Thread(() -> System.out.println("hook")));
		System.exit(5);
	}
}
