-- Coroutines, files, pipes, the collector.
local function gen(n)
	return coroutine.wrap(function() for i = 1, n do coroutine.yield(i * i) end end)
end
local s = 0
for v in gen(100000) do s = s + v % 7 end
print(_VERSION, s)
local p = assert(io.popen("tr a-z A-Z | sort", "w"))
p:setvbuf("full")
for _, w in ipairs { "pear", "apple", "fig" } do p:write(w, "\n") end
print(p:close())
print(io.popen("exit 6"):close())
print(os.execute("kill -TERM $$"))
local f = assert(io.open("out", "w+b"))
for i = 1, 5000 do f:write(string.pack("<i4", i * 7919 % 10007)) end
f:seek("set", 400)
print(string.unpack("<i4", f:read(4)), f:seek("end"))
f:close()
print(io.open("/nonexistent/x"))
print(select(2, pcall(error, { code = 7 })).code)
local t = {}
for i = 1, 200000 do t[i] = { i, tostring(i) } end
t = nil
collectgarbage()
print(collectgarbage("count") < 20000, os.rename("out", "out2"), os.remove("out2"))
print(load("return select('#', ...)")(1, 2, 3), string.format("%5.2f|%q", 1 / 3, "a\nb"))
os.exit(9)
