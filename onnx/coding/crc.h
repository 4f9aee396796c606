/* CRC-32 as in zlib, gzip and PNG (polynomial 0xedb88320, reflected). */
#ifndef MARY_ONNX_CODING_CRC_H
#define MARY_ONNX_CODING_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t mary_crc32(const void *bytes, size_t size);

#endif
