/* How the command shows what mary_validate found out. */
#ifndef MARY_CLI_VALIDATION_H
#define MARY_CLI_VALIDATION_H

#include "cli/cli.h"
#include "validate/validation.h"

/* mary_validation_drop with its sign turned, for printing: +0.12 is a gain. */
double mary_validation_change(const mary_validation *validation);
/* There is a budget, and it is missed. */
bool mary_validation_missed(const mary_validation *validation);

/* ---- cli/report/ ---- */
mary_status mary_validation_print(const mary_validation *validation, bool layers);
mary_status mary_validation_write_json(const mary_validation *validation, const char *path);
mary_status mary_validation_write_html(const mary_validation *validation, const char *path);

#endif
