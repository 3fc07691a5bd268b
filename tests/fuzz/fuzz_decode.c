// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder alone: the first byte is the mode, the rest is code. However
 * many of the bytes it is given, it must ask for more until it has enough, and
 * then always say the same.
 */
#include <stdlib.h>
#include <string.h>
#include "emulate/decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool cond)
{
	if (!cond)
		abort();
}

/* In memory of its own, so that a look beyond the end is seen. */
static enum decode_result decode(struct insn *insn, enum emul_mode mode, const uint8_t *code,
				 unsigned int have)
{
	enum decode_result result;
	uint8_t *copy = malloc(have ? have : 1);

	memcpy(copy, code, have);
	memset(insn, 0, sizeof(*insn));
	result = decode_insn(insn, mode, copy, have);
	free(copy);
	return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum decode_result whole, part;
	struct insn insn, other;
	enum emul_mode mode;
	unsigned int have;

	if (size < 2)
		return 0;
	mode = (enum emul_mode)(data[0] % 3);
	data++;
	have = (unsigned int)(size - 1 < EMUL_INSN_MAX ? size - 1 : EMUL_INSN_MAX);
	whole = decode(&insn, mode, data, have);
	require(insn.len <= have);
	require(whole != DECODE_OK || insn.len > 0);
	for (unsigned int n = 0; n < have; n++) {
		part = decode(&other, mode, data, n);
		if (whole == DECODE_SHORT || (insn.len > 0 && n < insn.len && whole == DECODE_OK))
			require(part == DECODE_SHORT || part == whole);
		if (part != DECODE_SHORT) {
			require(part == whole && other.len == insn.len);
			require(part != DECODE_OK || memcmp(&insn, &other, sizeof(insn)) == 0);
		}
	}
	return 0;
}
