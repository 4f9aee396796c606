#include "mary.h"

const char *mary_version(void)
{
    return MARY_VERSION;
}
