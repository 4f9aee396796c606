/* What a sample looks like this time: moved, mirrored, with a piece cut out. Everything follows from a random stream
 * and a place in it. */
#ifndef MARY_TRAIN_AUGMENT_H
#define MARY_TRAIN_AUGMENT_H

#include "mary_train.h"

/* Does it make sense, for samples of this shape? */
mary_status mary_augment_check(const mary_augmentation *augmentation, const mary_samples *samples);
/* Are images [C, H, W] changed? Mixing is of any samples, and the batch's to do. */
bool mary_augments_images(const mary_augmentation *augmentation);
/* `to` becomes the image `from`, as it looks at this place of the stream. */
void mary_augment_image(const mary_augmentation *augmentation, const mary_samples *samples, uint64_t seed,
                        uint64_t stream, uint64_t place, const float *from, float *to);

#endif
