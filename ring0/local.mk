## The ring-0 blob: built freestanding and linked apart, then embedded in kvm/. None of the user's
## CFLAGS and no sanitizer applies to it.
RING0_CFLAGS = -std=gnu11 -O2 -g0 -Wall -Wextra -Wno-unused-parameter -ffreestanding \
	-mgeneral-regs-only -mno-red-zone -mcmodel=kernel -fno-pic -fno-pie -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables -fno-jump-tables -fno-common \
	-ffunction-sections -fdata-sections -fno-strict-aliasing -fomit-frame-pointer
RING0_DEPS = $(srcdir)/abi/ring_abi.h $(srcdir)/ring0/tier0.h $(srcdir)/policy/eval.h $(srcdir)/policy/image_format.h $(srcdir)/base/hot.h
RING0_BUILD = $(AM_V_CC)$(MKDIR_P) ring0 && $(CC) -I$(srcdir) $(RING0_CFLAGS) -DSBX_RING0

EXTRA_DIST += ring0/tier0.h ring0/entry.S ring0/resident.S ring0/handler.c ring0/string.c ring0/ring0.lds abi/ring_abi.h

ring0/entry.o: $(srcdir)/ring0/entry.S $(RING0_DEPS)
	$(RING0_BUILD) -c -o $@ $(srcdir)/ring0/entry.S
ring0/resident.o: $(srcdir)/ring0/resident.S $(RING0_DEPS)
	$(RING0_BUILD) -c -o $@ $(srcdir)/ring0/resident.S
ring0/handler.o: $(srcdir)/ring0/handler.c $(srcdir)/policy/eval.c $(RING0_DEPS)
	$(RING0_BUILD) -c -o $@ $(srcdir)/ring0/handler.c
ring0/string.o: $(srcdir)/ring0/string.c
	$(RING0_BUILD) -fno-builtin -c -o $@ $(srcdir)/ring0/string.c
RING0_OBJECTS = ring0/entry.o ring0/resident.o ring0/handler.o ring0/string.o

ring0/ring0.elf: $(RING0_OBJECTS) $(srcdir)/ring0/ring0.lds
	$(AM_V_GEN)$(LD) -m elf_x86_64 -nostdlib -static --gc-sections --build-id=none \
		-z noexecstack -z max-page-size=4096 --no-warn-rwx-segments \
		-T $(srcdir)/ring0/ring0.lds -o $@ $(RING0_OBJECTS)
ring0/ring0.bin: ring0/ring0.elf
	$(AM_V_GEN)$(OBJCOPY) -O binary $< $@
ring0/ring0_syms.h: ring0/ring0.elf
	$(AM_V_GEN)$(NM) $< | $(AWK) '$$3 ~ /^ring0_/ { \
		printf "#define %s_VA 0x%s\n", toupper($$3), $$1 }' > $@.tmp && mv $@.tmp $@

CLEANFILES += ring0/entry.o ring0/resident.o ring0/handler.o ring0/string.o ring0/ring0.elf \
	ring0/ring0.bin ring0/ring0_syms.h
