/* Random numbers that are a function of where they are used, so that a training can go on from anywhere. */
#ifndef MARY_TRAIN_RANDOM_H
#define MARY_TRAIN_RANDOM_H

#include <stdint.h>

/* The finaliser of SplitMix64 (Steele, Lea and Flood 2014). */
static inline uint64_t mary_random_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Number `counter` of a stream. */
static inline uint64_t mary_random(uint64_t seed, uint64_t stream, uint64_t counter)
{
    return mary_random_mix(mary_random_mix(mary_random_mix(seed) ^ stream) ^ counter);
}

/* In [0, bound), bound >= 1; the bias is below bound / 2^64. */
static inline int64_t mary_random_below(uint64_t random, int64_t bound)
{
    return (int64_t)((unsigned __int128)random * (uint64_t)bound >> 64);
}

/* In [0, 1), in steps of 2^-53. */
static inline double mary_random_unit(uint64_t random)
{
    return (double)(random >> 11) * 0x1p-53;
}

#endif
