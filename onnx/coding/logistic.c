#include "onnx/coding/logistic.h"

#include <pthread.h>

static mary_logistic shared;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void build(void)
{
    mary_logistic *tables = &shared;
    /* 65536 / (1 + exp(-x)) at x = -8, -7.5, ..., 8; between them straight lines, so that no machine's exp matters. */
    static const uint16_t knots[33] = {22,    36,    60,    98,    162,   267,   439,   720,   1179,  1921,  3108,
                                       4971,  7812,  11955, 17625, 24743, 32768, 40793, 47911, 53581, 57724, 60565,
                                       62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514};
    for (int x = 0; x < 4096; x++) {
        int knot = x >> 7, part = x & 127;
        tables->squash[x] = (uint16_t)((knots[knot] * (128 - part) + knots[knot + 1] * part + 64) >> 7);
    }
    for (int p = 0, x = 1; p < 4096; p++) { /* the inverse: least x whose squash reaches the middle of p */
        while (x < 4095 && tables->squash[x] < p * 16 + 8)
            x++;
        tables->stretch[p] = (int16_t)(x - 2048);
    }
    for (int n = 0; n < 1024; n++)
        tables->reciprocal[n] = 16384 / (2 * n + 3);
}

const mary_logistic *mary_logistic_tables(void)
{
    pthread_once(&once, build);
    return &shared;
}
