/* The smallest program: output and exit status. */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("hello, argc %d\n", argc);
	return 7;
}
