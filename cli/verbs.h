/* The verbs, each in the file of its name. */
#ifndef MARY_CLI_VERBS_H
#define MARY_CLI_VERBS_H

#include "cli/cli.h"

mary_cli_verb mary_cli_run;
mary_cli_verb mary_cli_validate;
mary_cli_verb mary_cli_bench;
mary_cli_verb mary_cli_convert;
mary_cli_verb mary_cli_inspect;
mary_cli_verb mary_cli_dequantize;
mary_cli_verb mary_cli_tune;
mary_cli_verb mary_cli_pack;
mary_cli_verb mary_cli_unpack;

#endif
