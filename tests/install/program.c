#include <mary.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    mary_model *model = NULL;
    mary_session *session = NULL;
    static float image[28 * 28];
    mary_array input = {"input", MARY_FLOAT, 4, {1, 1, 28, 28}, image, sizeof image}, output;
    if (argc != 2 || mary_model_load(argv[1], &model) != MARY_OK || mary_convert(model, NULL, NULL) != MARY_OK ||
        mary_session_create(&model, NULL, &session) != MARY_OK ||
        mary_session_run(session, &input, 1, &output, 1) != MARY_OK)
        return fprintf(stderr, "%s\n", mary_error_message()), 1;
    printf("%s %s %d\n", mary_version(), output.name, (int)(output.bytes / sizeof(float)));
    mary_array_free(&output);
    mary_session_free(&session);
}
