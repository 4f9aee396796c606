#include "onnx/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[1024];

const char *mary_error_message(void)
{
    return message;
}

/* One line whatever the input held: control characters in names from a hostile file become '?'. */
static void sanitise(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            *text = '?';
    }
}

mary_status mary_fail(mary_status status, const char *format, ...)
{
    char text[sizeof message];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sanitise(text);
    memcpy(message, text, sizeof message);
    return status;
}

mary_status mary_fail_context(mary_status status, const char *format, ...)
{
    char text[sizeof message * 2];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof message, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= (int)sizeof message)
        length = (int)strlen(text);
    snprintf(text + length, sizeof text - (size_t)length, ": %s", message);
    text[sizeof message - 1] = '\0';
    sanitise(text);
    memcpy(message, text, sizeof message);
    return status;
}

mary_status mary_fail_memory(size_t bytes)
{
    return mary_fail(MARY_ERROR_INTERNAL, "out of memory (%zu bytes wanted)", bytes);
}
