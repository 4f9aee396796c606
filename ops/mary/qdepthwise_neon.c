/* Integer depthwise convolution, NEON: the vectors of the text that all instruction sets share. */
#include <arm_neon.h>
#include <string.h>

#include "ops/mary/qdepthwise.h"

#define INLINE static inline __attribute__((always_inline))
#define QDEPTHWISE_VECTORS
#define QDEPTHWISE_KERNELS mary_qdepthwise_kernels_neon
#define QDEPTHWISE_NAME    "int8 depthwise neon"

enum { BLOCK = 16 };
typedef uint8x16_t vec;
typedef float32x4_t real;

INLINE vec load(const void *p)
{
    return vld1q_u8(p);
}
INLINE void store(void *p, vec x)
{
    vst1q_u8(p, x);
}
INLINE vec load_channels(const uint8_t *p, int n)
{
    uint8_t part[BLOCK] = {0};
    memcpy(part, p, (size_t)n);
    return vld1q_u8(part);
}
INLINE void store_channels(uint8_t *p, vec x, int n)
{
    uint8_t part[BLOCK];
    vst1q_u8(part, x);
    memcpy(p, part, (size_t)n);
}

/* By the names that the text has for them. */
INLINE vec neon_unpacklo_epi8(vec a, vec b)
{
    return vzip1q_u8(a, b);
}
INLINE vec neon_unpackhi_epi8(vec a, vec b)
{
    return vzip2q_u8(a, b);
}
INLINE vec neon_unpacklo_epi16(vec a, vec b)
{
    return vreinterpretq_u8_u16(vzip1q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
INLINE vec neon_unpackhi_epi16(vec a, vec b)
{
    return vreinterpretq_u8_u16(vzip2q_u16(vreinterpretq_u16_u8(a), vreinterpretq_u16_u8(b)));
}
INLINE real neon_mul_ps(real a, real b)
{
    return vmulq_f32(a, b);
}
INLINE real neon_max_ps(real a, real b)
{
    return vmaxq_f32(a, b);
}
INLINE real neon_min_ps(real a, real b)
{
    return vminq_f32(a, b);
}
INLINE real neon_cvtepi32_ps(vec a)
{
    return vcvtq_f32_s32(vreinterpretq_s32_u8(a));
}
INLINE vec neon_cvtps_epi32(real a)
{
    return vreinterpretq_u8_s32(vcvtnq_s32_f32(a));
}
INLINE vec neon_packs_epi32(vec a, vec b)
{
    return vreinterpretq_u8_s16(vcombine_s16(vqmovn_s32(vreinterpretq_s32_u8(a)), vqmovn_s32(vreinterpretq_s32_u8(b))));
}
INLINE vec neon_adds_epi16(vec a, vec b)
{
    return vreinterpretq_u8_s16(vqaddq_s16(vreinterpretq_s16_u8(a), vreinterpretq_s16_u8(b)));
}
INLINE vec neon_packus_epi16(vec a, vec b)
{
    return vcombine_u8(vqmovun_s16(vreinterpretq_s16_u8(a)), vqmovun_s16(vreinterpretq_s16_u8(b)));
}

/* The dot product of signed bytes: 128 less in every activation, and put back. */
INLINE vec dot(vec sum, vec x, vec weights)
{
    const int8x16_t offset = vdupq_n_s8(-128), w = vreinterpretq_s8_u8(weights);
    int32x4_t change = vdotq_s32(vdupq_n_s32(0), w, offset);
    int32x4_t added = vdotq_s32(vreinterpretq_s32_u8(sum), w, veorq_s8(vreinterpretq_s8_u8(x), offset));
    return vreinterpretq_u8_s32(vsubq_s32(added, change));
}

#define OP(name)      neon_##name
#define UNPACK(name)  neon_unpack##name
#define SET_BYTES(x)  vdupq_n_u8((uint8_t)(x))
#define SET_WORDS(x)  vreinterpretq_u8_s16(vdupq_n_s16((int16_t)(x)))
#define SET_REALS(x)  vdupq_n_f32(x)
#define LOAD_REALS(p) vld1q_f32(p)
#define DOT(s, x, w)  dot(s, x, w)

#include "ops/mary/qdepthwise_template.h"
