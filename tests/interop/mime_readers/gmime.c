/* What GMime 3 sees in a message: see README.md. */
#include <gmime/gmime.h>
#include <stdio.h>
#include <string.h>

static void put(const char *octets, gsize length) {
    char *text = g_base64_encode((const guchar *) octets, length);
    fputs(text, stdout);
    g_free(text);
}

static void put_part(GMimeObject *object) {
    GMimeContentType *type = g_mime_object_get_content_type(object);
    GMimeContentDisposition *disposition = g_mime_object_get_content_disposition(object);
    char *kind = type ? g_mime_content_type_get_mime_type(type) : g_strdup("");
    const char *names[3] = {NULL, NULL, NULL};
    int comma = 0;
    if (type)
        names[0] = g_mime_content_type_get_parameter(type, "name");
    if (disposition)
        names[1] = g_mime_content_disposition_get_parameter(disposition, "filename");
    if (GMIME_IS_PART(object))
        names[2] = g_mime_part_get_filename(GMIME_PART(object));
    put(kind, strlen(kind));
    g_free(kind);
    putchar(':');
    for (int i = 0; i < 3; i++)
        if (names[i]) {
            if (comma++)
                putchar(',');
            put(names[i], strlen(names[i]));
        }
    putchar(':');
    if (GMIME_IS_PART(object)) {
        GMimeDataWrapper *content = g_mime_part_get_content(GMIME_PART(object));
        if (content) {
            GMimeStream *stream = g_mime_stream_mem_new();
            GByteArray *octets = NULL;
            g_mime_data_wrapper_write_to_stream(content, stream);
            octets = g_mime_stream_mem_get_byte_array(GMIME_STREAM_MEM(stream));
            put((const char *) octets->data, octets->len);
            g_object_unref(stream);
        }
    }
    putchar(' ');
}

static void walk(GMimeObject *object) {
    if (!object)
        return;
    put_part(object);
    if (GMIME_IS_MULTIPART(object)) {
        int count = g_mime_multipart_get_count(GMIME_MULTIPART(object));
        for (int i = 0; i < count; i++)
            walk(g_mime_multipart_get_part(GMIME_MULTIPART(object), i));
    } else if (GMIME_IS_MESSAGE_PART(object)) {
        GMimeMessage *inner = g_mime_message_part_get_message(GMIME_MESSAGE_PART(object));
        if (inner)
            walk(g_mime_message_get_mime_part(inner));
    }
}

int main(void) {
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    g_mime_init();
    while ((length = getline(&line, &room, stdin)) >= 0) {
        gsize size = 0;
        guchar *octets;
        GMimeStream *stream;
        GMimeParser *parser;
        GMimeMessage *message;
        line[strcspn(line, "\n")] = '\0';
        octets = g_base64_decode(line, &size);
        stream = g_mime_stream_mem_new_with_buffer((const char *) octets, size);
        parser = g_mime_parser_new_with_stream(stream);
        message = g_mime_parser_construct_message(parser, NULL);
        if (message) {
            walk(g_mime_message_get_mime_part(message));
            g_object_unref(message);
        }
        putchar('\n');
        g_object_unref(parser);
        g_object_unref(stream);
        g_free(octets);
    }
    free(line);
    return 0;
}
