/* SHA-256, through libmd. */
#ifndef SBX_BASE_DIGEST_H
#define SBX_BASE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE	32
#define DIGEST_HEX_SIZE 65

void digest_sha256(const void *p, size_t n, uint8_t out[DIGEST_SIZE]);

/* Lower-case hexadecimal with a terminator. */
void digest_hex(const uint8_t d[DIGEST_SIZE], char out[DIGEST_HEX_SIZE]);

#endif
