/* Decoders of packed integer weights (the layout is in qweights.h), one set an instruction set. */
#ifndef MARY_OPS_MARY_QDECODE_H
#define MARY_OPS_MARY_QDECODE_H

#include <stdint.h>

/* Quads [0, quads) of a packed panel into [quads][16 * strips][4], which is 64-byte aligned. */
typedef void mary_qdecode(const uint8_t *codes, const int8_t *levels, int64_t level_stride, int strips, int64_t quads,
                          int8_t *panel);

mary_qdecode mary_qdecode1_scalar, mary_qdecode2_scalar, mary_qdecode4_scalar;
#if defined(__x86_64__)
mary_qdecode mary_qdecode1_avx2, mary_qdecode2_avx2, mary_qdecode4_avx2;
mary_qdecode mary_qdecode1_avx512vnni, mary_qdecode2_avx512vnni, mary_qdecode4_avx512vnni;
#elif defined(__aarch64__)
mary_qdecode mary_qdecode1_neon, mary_qdecode2_neon, mary_qdecode4_neon;
#endif

#endif
