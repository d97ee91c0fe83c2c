/* What tests/trace follows: between two marks one read(2), one ptrace(2), one umask(2), on a path
 * that earlier calls have made warm. */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MARK 0x5b7

int main(void)
{
	int i, fd = open("/dev/zero", O_RDONLY);
	char byte;

	for (i = 0; i < 200; i++) {
		read(fd, &byte, 1);
		syscall(SYS_ptrace, 0, 0, 0, 0);
		syscall(SYS_umask, 022);
		syscall(SYS_getpriority, 0, 0);
	}
	syscall(SYS_getpriority, MARK, 0);
	read(fd, &byte, 1);
	syscall(SYS_getpriority, MARK, 1);
	syscall(SYS_ptrace, 0, 0, 0, 0);
	syscall(SYS_getpriority, MARK, 2);
	syscall(SYS_umask, 022);
	syscall(SYS_getpriority, MARK, 3);
	return 0;
}
