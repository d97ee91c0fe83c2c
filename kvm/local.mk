noinst_LIBRARIES += kvm/libkvm.a
kvm_libkvm_a_SOURCES = \
	kvm/blob.S \
	kvm/cpuid.c \
	kvm/debug.c \
	kvm/exit.c \
	kvm/fpu.c \
	kvm/hostfault.c \
	kvm/kvm.h \
	kvm/machine.c \
	kvm/monitor.c \
	kvm/pagetable.c \
	kvm/pill.S kvm/pill.h \
	kvm/probe.c kvm/probe.h \
	kvm/quirks.c \
	kvm/resident.c \
	kvm/run.c \
	kvm/sentry_map.c \
	kvm/slots.c \
	kvm/vcpu.c
nodist_kvm_libkvm_a_SOURCES = ring0/ring0_syms.h
BUILT_SOURCES += ring0/ring0_syms.h
kvm/blob.o: ring0/ring0.bin
