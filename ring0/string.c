/* The functions a freestanding compiler may call on its own. */
#include <stddef.h>
#include <stdint.h>

void *memcpy(void *d, const void *s, size_t n);
void *memset(void *d, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);

void *memcpy(void *d, const void *s, size_t n)
{
	char *dst = d;
	const char *src = s;

	while (n--)
		*dst++ = *src++;
	return d;
}

void *memset(void *d, int c, size_t n)
{
	char *dst = d;

	while (n--)
		*dst++ = (char)c;
	return d;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}
