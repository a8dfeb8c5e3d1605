/*
 * Every node of the graph is looked at twice: the first walk counts names, the second one notes
 * them. Then the needed nodes are found from the wanted outputs backwards, and the file is written
 * anew from its own fields.
 */
#include "backend/onnx_prune.h"

#include <stdlib.h>

#include "backend/onnx_field.h"
#include "base/mem.h"

/* Field numbers of onnx.proto. */
enum {
    MODEL_GRAPH = 7,
    MODEL_TRAINING = 20,
    MODEL_FUNCTION = 25,
    FUNCTION_NODE = 7,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_OUTPUT = 12,
    GRAPH_SPARSE_INITIALIZER = 15,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_TENSOR = 5,
    ATTRIBUTE_GRAPH = 6,
    ATTRIBUTE_TENSORS = 10,
    ATTRIBUTE_GRAPHS = 11,
    ATTRIBUTE_SPARSE_TENSOR = 22,
    ATTRIBUTE_SPARSE_TENSORS = 23,
    SPARSE_VALUES = 1,
    SPARSE_INDICES = 2,
    TENSOR_EXTERNAL_DATA = 13,
    TENSOR_DATA_LOCATION = 14,
    VALUE_NAME = 1,
};

#define VARINT_MAX_BYTES 10
#define TAG(number) ((char)((number) << 3 | ONNX_WIRE_BYTES)) /* of numbers under 16 */

struct node {
    size_t first_use; /* in `uses`; its subgraphs' are its own */
    size_t use_count;
    size_t make_count;
    bool is_needed;
};

/* A value some node makes. */
struct make {
    struct slice name;
    size_t node;
    bool is_output;
    bool is_used_by_needed;
    bool is_used_by_others;
};

struct prune {
    struct error *error;
    bool is_noting; /* second walk: the arrays are there */
    struct node *nodes;
    size_t node_count;
    struct slice *uses; /* names nodes read, node by node */
    size_t use_count;
    struct make *makes; /* sorted by name after the second walk */
    size_t make_count;
    size_t *waiting; /* needed nodes whose inputs have not been looked at */
    size_t waiting_count;
};

size_t onnx_prune_max_bytes(size_t model_bytes)
{
    return 2 * model_bytes + 64; /* a further output is shorter than two mentions of its name */
}

static int refuse(const struct prune *prune, const char *what)
{
    return error_set(prune->error, ERR_CONFIG, "%s", what);
}

static int next_field(const struct prune *prune, struct slice *message, struct onnx_field *field)
{
    return onnx_field_next(message, field) ? ERR_OK : refuse(prune, "it is malformed");
}

/* An empty name is an optional input or output that is not there. */
static void note_use(struct prune *prune, struct slice name)
{
    if (name.len == 0) {
        return;
    }
    if (prune->is_noting) {
        prune->uses[prune->use_count] = name;
    }
    prune->use_count++;
}

static void note_make(struct prune *prune, struct slice name)
{
    if (name.len == 0) {
        return;
    }
    if (prune->is_noting) {
        prune->makes[prune->make_count] = (struct make){.name = name, .node = prune->node_count};
    }
    prune->make_count++;
}

/* Names of files are relative to the model's, which bytes in memory do not have. */
static int check_tensor(const struct prune *prune, struct slice tensor)
{
    struct onnx_field field;
    while (tensor.len > 0) {
        int status = next_field(prune, &tensor, &field);
        if (status != ERR_OK) {
            return status;
        }
        if (onnx_field_is_bytes(&field, TENSOR_EXTERNAL_DATA) ||
            (onnx_field_is_varint(&field, TENSOR_DATA_LOCATION) && field.varint != 0)) {
            return refuse(prune, "it has weights in files of their own");
        }
    }
    return ERR_OK;
}

static int check_sparse_tensor(const struct prune *prune, struct slice sparse)
{
    struct onnx_field field;
    while (sparse.len > 0) {
        int status = next_field(prune, &sparse, &field);
        if (status == ERR_OK && (onnx_field_is_bytes(&field, SPARSE_VALUES) ||
                                 onnx_field_is_bytes(&field, SPARSE_INDICES))) {
            status = check_tensor(prune, field.body);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int walk_subgraph(struct prune *prune, struct slice graph, unsigned depth);

static int walk_attribute(struct prune *prune, struct slice attribute, unsigned depth)
{
    struct onnx_field field;
    while (attribute.len > 0) {
        int status = next_field(prune, &attribute, &field);
        if (status == ERR_OK && field.type == ONNX_WIRE_BYTES) {
            switch (field.number) {
            case ATTRIBUTE_TENSOR:
            case ATTRIBUTE_TENSORS:
                status = check_tensor(prune, field.body);
                break;
            case ATTRIBUTE_SPARSE_TENSOR:
            case ATTRIBUTE_SPARSE_TENSORS:
                status = check_sparse_tensor(prune, field.body);
                break;
            case ATTRIBUTE_GRAPH:
            case ATTRIBUTE_GRAPHS:
                status = walk_subgraph(prune, field.body, depth + 1);
                break;
            default:
                break;
            }
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

/* `depth` 0: of the graph itself; only there what a node makes can be an output of the model. */
static int walk_node(struct prune *prune, struct slice node, unsigned depth)
{
    struct onnx_field field;
    while (node.len > 0) {
        int status = next_field(prune, &node, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, NODE_INPUT)) {
            note_use(prune, field.body);
        } else if (status == ERR_OK && onnx_field_is_bytes(&field, NODE_OUTPUT) && depth == 0) {
            note_make(prune, field.body);
        } else if (status == ERR_OK && onnx_field_is_bytes(&field, NODE_ATTRIBUTE)) {
            status = walk_attribute(prune, field.body, depth);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int walk_value_name(struct prune *prune, struct slice value, struct slice *ret_name)
{
    struct onnx_field field;
    struct slice name = SLICE("");
    while (value.len > 0) {
        int status = next_field(prune, &value, &field);
        if (status != ERR_OK) {
            return status;
        }
        if (onnx_field_is_bytes(&field, VALUE_NAME)) {
            name = field.body;
        }
    }
    *ret_name = name;
    return ERR_OK;
}

/* What may hold a tensor, in a graph of any depth. */
static int check_initializer(const struct prune *prune, const struct onnx_field *field)
{
    if (onnx_field_is_bytes(field, GRAPH_INITIALIZER)) {
        return check_tensor(prune, field->body);
    }
    if (onnx_field_is_bytes(field, GRAPH_SPARSE_INITIALIZER)) {
        return check_sparse_tensor(prune, field->body);
    }
    return ERR_OK;
}

/*
 * The body of an If, Loop or Scan reads values of the graphs around it by their names alone, in its
 * nodes and as its outputs. All names it reads count as read by the node that has it: those of its
 * own values among them do no harm.
 */
static int walk_subgraph(struct prune *prune, struct slice graph, unsigned depth)
{
    struct onnx_field field;
    struct slice name;
    if (depth > ONNX_PRUNE_MAX_DEPTH) {
        return refuse(prune, "its subgraphs nest too deep");
    }
    while (graph.len > 0) {
        int status = next_field(prune, &graph, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, GRAPH_NODE)) {
            status = walk_node(prune, field.body, depth);
        } else if (status == ERR_OK && onnx_field_is_bytes(&field, GRAPH_OUTPUT)) {
            status = walk_value_name(prune, field.body, &name);
            if (status == ERR_OK) {
                note_use(prune, name);
            }
        } else if (status == ERR_OK) {
            status = check_initializer(prune, &field);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int walk_graph_node(struct prune *prune, struct slice body)
{
    size_t first_use = prune->use_count;
    size_t first_make = prune->make_count;
    int status = walk_node(prune, body, 0);
    if (status != ERR_OK) {
        return status;
    }
    if (prune->is_noting) {
        prune->nodes[prune->node_count] = (struct node){
            .first_use = first_use,
            .use_count = prune->use_count - first_use,
            .make_count = prune->make_count - first_make,
        };
    }
    prune->node_count++;
    if (prune->node_count + prune->use_count + prune->make_count > ONNX_PRUNE_MAX_NAMES) {
        return refuse(prune, "it has too many nodes");
    }
    return ERR_OK;
}

static int walk_graph(struct prune *prune, struct slice graph)
{
    struct onnx_field field;
    prune->node_count = prune->use_count = prune->make_count = 0;
    while (graph.len > 0) {
        int status = next_field(prune, &graph, &field);
        if (status == ERR_OK) {
            status = onnx_field_is_bytes(&field, GRAPH_NODE) ? walk_graph_node(prune, field.body)
                                                             : check_initializer(prune, &field);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

static int compare_makes(const void *a, const void *b)
{
    const struct slice *left = &((const struct make *)a)->name;
    const struct slice *right = &((const struct make *)b)->name;
    int order = memcmp(left->ptr, right->ptr, left->len < right->len ? left->len : right->len);
    return order != 0 ? order : (left->len > right->len) - (left->len < right->len);
}

/* NULL: an input, a weight, or a value of a subgraph's own. */
static struct make *find_make(const struct prune *prune, struct slice name)
{
    const struct make wanted = {.name = name};
    return prune->make_count == 0 ? NULL
                                  : bsearch(&wanted, prune->makes, prune->make_count,
                                            sizeof(prune->makes[0]), compare_makes);
}

/* Both walks; then the nodes are known by their place in the graph and values by their names. */
static int note_graph(struct prune *prune, struct slice graph)
{
    int status = walk_graph(prune, graph);
    if (status != ERR_OK) {
        return status;
    }
    prune->nodes = mem_zalloc(prune->node_count, sizeof(prune->nodes[0]));
    prune->uses = mem_zalloc(prune->use_count, sizeof(prune->uses[0]));
    prune->makes = mem_zalloc(prune->make_count, sizeof(prune->makes[0]));
    prune->waiting = mem_zalloc(prune->node_count, sizeof(prune->waiting[0]));
    if (prune->nodes == NULL || prune->uses == NULL || prune->makes == NULL ||
        prune->waiting == NULL) {
        return error_set(prune->error, ERR_NO_MEMORY, "no memory for its nodes");
    }
    prune->is_noting = true;
    status = walk_graph(prune, graph);
    if (status != ERR_OK) {
        return status;
    }
    qsort(prune->makes, prune->make_count, sizeof(prune->makes[0]), compare_makes);
    for (size_t i = 1; i < prune->make_count; i++) {
        if (slice_eq(prune->makes[i - 1].name, prune->makes[i].name)) {
            return refuse(prune, "two nodes make the same value");
        }
    }
    return ERR_OK;
}

static void need_node(struct prune *prune, size_t index)
{
    if (!prune->nodes[index].is_needed) {
        prune->nodes[index].is_needed = true;
        prune->waiting[prune->waiting_count++] = index;
    }
}

static void need_value(struct prune *prune, struct slice name)
{
    const struct make *make = find_make(prune, name);
    if (make != NULL) {
        need_node(prune, make->node);
    }
}

/* Marks nodes. Those that make nothing are there for what else they do, and stay. */
static void need_nodes(struct prune *prune, const struct slice *wanted, size_t wanted_count)
{
    for (size_t i = 0; i < wanted_count; i++) {
        need_value(prune, wanted[i]);
    }
    for (size_t i = 0; i < prune->node_count; i++) {
        if (prune->nodes[i].make_count == 0) {
            need_node(prune, i);
        }
    }
    while (prune->waiting_count > 0) {
        const struct node *node = &prune->nodes[prune->waiting[--prune->waiting_count]];
        for (size_t i = 0; i < node->use_count; i++) {
            need_value(prune, prune->uses[node->first_use + i]);
        }
    }
}

static void mark_uses(const struct prune *prune)
{
    for (size_t i = 0; i < prune->node_count; i++) {
        const struct node *node = &prune->nodes[i];
        for (size_t j = 0; j < node->use_count; j++) {
            struct make *make = find_make(prune, prune->uses[node->first_use + j]);
            if (make != NULL && node->is_needed) {
                make->is_used_by_needed = true;
            } else if (make != NULL) {
                make->is_used_by_others = true;
            }
        }
    }
}

/* Finds each wanted output among the graph's, and notes which values are outputs already. */
static int check_outputs(struct prune *prune, struct slice graph, const struct slice *wanted,
                         size_t wanted_count)
{
    struct onnx_field field;
    struct slice name;
    size_t found = 0;
    while (graph.len > 0) {
        int status = next_field(prune, &graph, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, GRAPH_OUTPUT)) {
            status = walk_value_name(prune, field.body, &name);
            struct make *make = status == ERR_OK ? find_make(prune, name) : NULL;
            if (make != NULL) {
                make->is_output = true;
            }
            for (size_t i = 0; status == ERR_OK && i < wanted_count; i++) {
                found += slice_eq(name, wanted[i]);
            }
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return found == wanted_count ? ERR_OK : refuse(prune, "its outputs are not those wanted");
}

static bool becomes_output(const struct prune *prune, const struct make *make)
{
    return prune->nodes[make->node].is_needed && !make->is_output && make->is_used_by_needed &&
           make->is_used_by_others;
}

static bool is_output_kept(struct prune *prune, struct slice value)
{
    struct slice name;
    const struct make *make =
        walk_value_name(prune, value, &name) == ERR_OK ? find_make(prune, name) : NULL;
    return make == NULL || prune->nodes[make->node].is_needed;
}

static int put_varint(struct bytes *bytes, uint64_t value)
{
    char text[VARINT_MAX_BYTES];
    size_t len = 0;
    for (; value > 0x7f; value >>= 7) {
        text[len++] = (char)((value & 0x7f) | 0x80);
    }
    text[len++] = (char)value;
    return bytes_put(bytes, slice_make(text, len));
}

static int put_field(struct bytes *bytes, char tag, struct slice body)
{
    int status = bytes_put_byte(bytes, tag);
    if (status == ERR_OK) {
        status = put_varint(bytes, body.len);
    }
    return status == ERR_OK ? bytes_put(bytes, body) : status;
}

/* A graph's output with nothing but a name: the runtime knows its type from the node that makes it. */
static int put_output(struct bytes *graph, struct slice name)
{
    struct bytes value;
    bytes_init(&value, name.len + 1 + VARINT_MAX_BYTES);
    int status = put_field(&value, TAG(VALUE_NAME), name);
    if (status == ERR_OK) {
        status = put_field(graph, TAG(GRAPH_OUTPUT), bytes_slice(&value));
    }
    bytes_done(&value);
    return status;
}

/* The graph's fields but for nodes that go and what they make. */
static int put_graph(struct prune *prune, struct slice graph, struct bytes *pruned)
{
    struct onnx_field field;
    size_t node = 0;
    int status = ERR_OK;
    while (status == ERR_OK && graph.len > 0) {
        bool is_kept = true;
        status = next_field(prune, &graph, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, GRAPH_NODE)) {
            is_kept = prune->nodes[node++].is_needed;
        } else if (status == ERR_OK && onnx_field_is_bytes(&field, GRAPH_OUTPUT)) {
            is_kept = is_output_kept(prune, field.body);
        }
        if (status == ERR_OK && is_kept) {
            status = bytes_put(pruned, field.whole);
        }
    }
    for (size_t i = 0; status == ERR_OK && i < prune->make_count; i++) {
        if (becomes_output(prune, &prune->makes[i])) {
            status = put_output(pruned, prune->makes[i].name);
        }
    }
    return status;
}

static int put_model(struct prune *prune, struct slice model, struct bytes *pruned)
{
    struct onnx_field field;
    struct bytes graph;
    bytes_init(&graph, onnx_prune_max_bytes(model.len));
    int status = ERR_OK;
    while (status == ERR_OK && model.len > 0) {
        status = next_field(prune, &model, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, MODEL_GRAPH)) {
            status = put_graph(prune, field.body, &graph);
            if (status == ERR_OK) {
                status = put_field(pruned, TAG(MODEL_GRAPH), bytes_slice(&graph));
            }
        } else if (status == ERR_OK) {
            status = bytes_put(pruned, field.whole);
        }
    }
    bytes_done(&graph);
    return status;
}

/* A function's nodes read nothing but its own values. */
static int check_function(struct prune *prune, struct slice function)
{
    struct onnx_field field;
    while (function.len > 0) {
        int status = next_field(prune, &function, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, FUNCTION_NODE)) {
            status = walk_node(prune, field.body, 0);
        }
        if (status != ERR_OK) {
            return status;
        }
    }
    return ERR_OK;
}

/* Finds the graph, and what stands beside it that forbids to touch it. */
static int find_graph(struct prune *prune, struct slice model, struct slice *ret_graph)
{
    struct onnx_field field;
    struct slice graph = {NULL, 0};
    while (model.len > 0) {
        int status = next_field(prune, &model, &field);
        if (status == ERR_OK && onnx_field_is_bytes(&field, MODEL_FUNCTION)) {
            status = check_function(prune, field.body);
        }
        if (status == ERR_OK && onnx_field_is_bytes(&field, MODEL_TRAINING)) {
            status = refuse(prune, "it holds a training");
        }
        if (status != ERR_OK) {
            return status;
        }
        if (onnx_field_is_bytes(&field, MODEL_GRAPH)) {
            if (graph.ptr != NULL) {
                return refuse(prune, "it has two graphs");
            }
            graph = field.body;
        }
    }
    *ret_graph = graph;
    return graph.ptr != NULL ? ERR_OK : refuse(prune, "it has no graph");
}

static bool needs_all(const struct prune *prune)
{
    size_t needed = 0;
    for (size_t i = 0; i < prune->node_count; i++) {
        needed += prune->nodes[i].is_needed;
    }
    return needed == prune->node_count;
}

int onnx_prune(struct slice model, const struct slice *wanted, size_t wanted_count,
               struct bytes *pruned, struct error *error)
{
    struct prune prune = {.error = error};
    struct slice graph;
    size_t before = bytes_len(pruned);
    int status = find_graph(&prune, model, &graph);
    if (status == ERR_OK) {
        status = note_graph(&prune, graph);
    }
    if (status == ERR_OK) {
        status = check_outputs(&prune, graph, wanted, wanted_count);
    }
    if (status == ERR_OK) {
        need_nodes(&prune, wanted, wanted_count);
        if (!needs_all(&prune)) {
            mark_uses(&prune);
            status = put_model(&prune, model, pruned);
        }
    }
    if (status != ERR_OK) {
        bytes_truncate(pruned, before);
    }
    if (status == ERR_NO_MEMORY) {
        (void)error_set(error, ERR_NO_MEMORY, "no memory for its nodes");
    }
    mem_free(prune.waiting);
    mem_free(prune.makes);
    mem_free(prune.uses);
    mem_free(prune.nodes);
    return status;
}
