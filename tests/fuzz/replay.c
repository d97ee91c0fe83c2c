/* Runs a fuzz target over files and folders, for compilers without libFuzzer and for `make check`.
 *	replay-TARGET FILE|FOLDER... */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/fdx.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t len);

static unsigned nr;

static int replay_file(const char *path)
{
	struct sbx_err *e = NULL;
	char *data;
	size_t len;

	if (fdx_read_file(path, 16 << 20, &data, &len, &e) < 0) {
		fprintf(stderr, "%s\n", e->msg);
		sbx_err_free(&e);
		return -1;
	}
	LLVMFuzzerTestOneInput((const unsigned char *)data, len);
	free(data);
	printf("ok %u - %s\n", ++nr, strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
	fflush(stdout); /* the last line names the file before the one that crashes */
	return 0;
}

static int replay(const char *path)
{
	struct dirent **names;
	struct stat st;
	int n, r = 0;

	if (stat(path, &st) < 0) {
		perror(path);
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path);
	n = scandir(path, &names, NULL, alphasort);
	if (n < 0)
		return -1;
	for (int i = 0; i < n; i++) {
		char file[4096];

		if (names[i]->d_name[0] != '.') {
			snprintf(file, sizeof(file), "%s/%s", path, names[i]->d_name);
			r |= replay_file(file);
		}
		free(names[i]);
	}
	free(names);
	return r;
}

int main(int argc, char **argv)
{
	int r = argc > 1 ? 0 : -1;

	for (int i = 1; i < argc; i++)
		r |= replay(argv[i]);
	if (nr == 0)
		r = -1;
	printf("1..%u\n", nr);
	return r ? 1 : 0;
}
