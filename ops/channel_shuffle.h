/* ChannelShuffle has no attributes in a file: the executor sets its state. */
#ifndef MARY_OPS_CHANNEL_SHUFFLE_H
#define MARY_OPS_CHANNEL_SHUFFLE_H

#include "ops/op.h"

/* Gives a node that just became a ChannelShuffle its number of groups. */
mary_status mary_channel_shuffle_set(mary_op_node *node, int64_t groups);

#endif
