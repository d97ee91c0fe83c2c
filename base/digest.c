#include "base/digest.h"

#include <sha256.h>

void digest_sha256(const void *p, size_t n, uint8_t out[DIGEST_SIZE])
{
	SHA2_CTX ctx;

	SHA256Init(&ctx);
	SHA256Update(&ctx, p, n);
	SHA256Final(out, &ctx);
}

void digest_hex(const uint8_t d[DIGEST_SIZE], char out[DIGEST_HEX_SIZE])
{
	static const char digit[] = "0123456789abcdef";
	int i;

	for (i = 0; i < DIGEST_SIZE; i++) {
		out[2 * i] = digit[d[i] >> 4];
		out[2 * i + 1] = digit[d[i] & 15];
	}
	out[2 * DIGEST_SIZE] = '\0';
}
