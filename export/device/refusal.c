#include "refusal.h"

#include <string.h>

#include "json.h"
#include "model.h"

enum { OWN_BYTES = 256 };

static const char head[] = "{\"error\": \"", tail[] = "\"}\n";

size_t edgegen_refusal_bound(size_t most) {
    size_t names = 0;
    for (int32_t i = 0; i < edgegen_codec.labels; i++) names += strlen(edgegen_codec.label_names[i]) + sizeof ", ";
    return sizeof head + sizeof tail + OWN_BYTES + most + EDGEGEN_JSON_ESCAPE * names;
}

void edgegen_refusal_start(struct edgegen_refusal *refusal, char *room) {
    memcpy(room, head, sizeof head - 1);
    refusal->start = room;
    refusal->end = room + sizeof head - 1;
}

void edgegen_say_bytes(struct edgegen_refusal *refusal, const char *text, size_t bytes) {
    refusal->end = edgegen_json_text(refusal->end, text, bytes);
}

void edgegen_say(struct edgegen_refusal *refusal, const char *text) { edgegen_say_bytes(refusal, text, strlen(text)); }

bool edgegen_refuse(struct edgegen_refusal *refusal, const char *text) {
    edgegen_say(refusal, text);
    return false;
}

size_t edgegen_refusal_end(struct edgegen_refusal *refusal) {
    memcpy(refusal->end, tail, sizeof tail - 1);
    return (size_t)(refusal->end - refusal->start) + sizeof tail - 1;
}
