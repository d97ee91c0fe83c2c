# Threads, processes, pipes, sockets, signals, files, and the collector, with one line for each.
require 'digest'
require 'etc'
require 'json'
require 'open3'
require 'socket'
require 'tempfile'
require 'timeout'
require 'yaml'
require 'zlib'

$stdout.sync = true
queue = Queue.new
(1..16).map { |i| Thread.new { 100.times { |j| queue << i * j } } }.each(&:join)
sum = 0
sum += queue.pop until queue.empty?
puts "threads #{sum}"
puts `echo backticks`, $?.exitstatus
out, status = Open3.capture2('tr a-z A-Z; exit 5', stdin_data: 'capture')
puts out, status.exitstatus
r, w = IO.pipe
pid = fork do
  r.close
  w.puts 'from the child'
  exit! 4
end
w.close
puts r.read
Process.wait pid
puts $?.exitstatus
IO.popen(['cat'], 'r+') do |p|
  p.write 'z' * 100_000
  p.close_write
  puts p.read.size
end
begin
  Timeout.timeout(0.1) { sleep 5 }
rescue Timeout::Error
  puts 'timed out'
end
server = TCPServer.new('127.0.0.1', 0)
echo = Thread.new do
  c = server.accept
  c.puts c.gets.upcase
  c.close
end
c = TCPSocket.new('127.0.0.1', server.addr[1])
c.puts 'over tcp'
puts c.gets
echo.join
UNIXServer.open('sock') do |s|
  t = Thread.new { s.accept.puts 'over a unix socket' }
  puts UNIXSocket.new('sock').gets
  t.join
end
Signal.trap('USR1') { puts 'usr1' }
Process.kill('USR1', Process.pid)
sleep 0.05
Tempfile.create('x', '.') do |f|
  f.write 'abc'
  f.flush
  f.flock(File::LOCK_EX)
  puts File.size(f.path), File.stat(f.path).mode.to_s(8)
end
puts Dir.glob('*.rb'), File.readlines(__FILE__).size, Dir.children('.').size
puts Digest::SHA256.hexdigest('x'), Zlib::Inflate.inflate(Zlib::Deflate.deflate('a' * 1000)).size
f = Fiber.new do
  Fiber.yield 1
  2
end
puts f.resume, f.resume
ractor = Ractor.new { Ractor.receive * 2 }
ractor.send 21
puts ractor.take
puts JSON.generate({ a: [1, 2] }), YAML.load("- a\n- b: 1\n").inspect
big = Array.new(200_000) { |i| (i * 7919) % 100_003 }
puts big.sort.each_slice(1000).map(&:first).sum
GC.start
puts ObjectSpace.each_object(Class).count > 100
puts Process.clock_gettime(Process::CLOCK_PROCESS_CPUTIME_ID).positive?, Etc.nprocessors.positive?
exit 3
