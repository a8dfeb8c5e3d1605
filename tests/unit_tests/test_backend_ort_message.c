/* The runtime's error texts, as they were seen, and what is left of them. */
#include <string.h>

#include "backend/ort_message.h"
#include "unit_tests/testing.h"

static const struct {
    const char *message;
    const char *clean;
} cases[] = {
    {"Load model from /models/a b/model.onnx failed:Protobuf parsing failed.",
     "Protobuf parsing failed"},
    {"Load model from m.onnx failed:Exception during loading: MLDataType for: tensor(complex64) is "
     "not currently registered or supported",
     "MLDataType for: tensor(complex64) is not currently registered or supported"},
    {"Load model from m.onnx failed:Fatal error: com.example:Frobnicate(-1) is not a registered "
     "function/op",
     "com.example:Frobnicate(-1) is not a registered function/op"},
    {"Load model from m.onnx failed:/onnxruntime_src/onnxruntime/core/graph/model.cc:256 "
     "onnxruntime::Model::Model(onnx::ModelProto&&, const onnxruntime::PathString&, const "
     "onnxruntime::IOnnxRuntimeOpSchemaRegistryList*) Unsupported model IR version: 999, max "
     "supported IR version: 14\n",
     "Unsupported model IR version: 999, max supported IR version: 14"},
    {"Load model from m.onnx failed:/src/model_load_utils.h:46 void "
     "onnxruntime::ValidateOpsetForDomain(const "
     "std::unordered_map<std::__cxx11::basic_string<char>, "
     "int>&, bool, const std::string&, int) ONNX Runtime only *guarantees* support for models "
     "stamped with official released onnx opset versions. Opset 999 is under development and "
     "support for this is limited. Current official support for domain ai.onnx is till opset 28.\n",
     "Opset 999 is under development and support for this is limited. Current official support "
     "for domain ai.onnx is till opset 28"},
    {"External data path validation failed for initializer: w. Error: tensorprotoutils.cc:619 "
     "ValidateExternalDataPathFromDir External data path does not exist: \"/m/weights.bin\"",
     "External data path validation failed for initializer: w. Error: External data path does "
     "not exist: \"/m/weights.bin\""},
    {"Non-zero status code returned while running Gather node. Name:'' Status Message: indices "
     "element out of data bounds, idx=99 must be within the inclusive range [-5,4]",
     "Gather: indices element out of data bounds, idx=99 must be within the inclusive range "
     "[-5,4]"},
    {"Non-zero status code returned while running If node. Name:'a' Status Message: Non-zero "
     "status "
     "code returned while running Gather node. Name:'b' Status Message: out of bounds",
     "If: Gather: out of bounds"},
    {"Non-zero status code returned while running Reshape node. Name:'' Status Message: "
     "/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 "
     "onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, "
     "onnxruntime::TensorShapeVector&, bool) input_shape_size == requested_shape_size was false. "
     "The input tensor cannot be reshaped to the requested shape. Input shape:{6}, requested "
     "shape:{4,2}\n",
     "Reshape: The input tensor cannot be reshaped to the requested shape. Input shape:{6}, "
     "requested shape:{4,2}"},
    {"Non-zero status code returned while running Expand node. Name:'' Status Message: "
     "/src/op_kernel.cc:87 virtual OrtValue* onnxruntime::OpKernelContext::OutputMLValue(int, "
     "const "
     "onnxruntime::TensorShape&) [ONNXRuntimeError] : 1 : FAIL : tensor.cc:57 "
     "CalculateTensorStorageSize Tensor shape.Size() must be >= 0\n",
     "Expand: Tensor shape.Size() must be >= 0"},
    {"/src/a.cc:1 onnxruntime::F(int)::<lambda(long int)> const x > 0 was false. \n",
     "x > 0 was false"},
    {"/src/a.h:9 void onnxruntime::Each(std::function<void(int)>, T) [with T = float; U = int] why",
     "why"},
    {"Got invalid dimensions for input: x for the following indices\n index: 1 Got: 3 Expected: "
     "4\n "
     "Please fix either the inputs/outputs or the model.",
     "Got invalid dimensions for input: x for the following indices index: 1 Got: 3 Expected: 4"},
    {"Invalid rank for input: x Got: 1 Expected: 2 Please fix either the inputs/outputs or the "
     "model.",
     "Invalid rank for input: x Got: 1 Expected: 2"},
    {"first\nsecond", "first"},
    {"a.cc:12", "a.cc:12"},
    {"a.cc:x b", "a.cc:x b"},
    {"/src/a.cc:3 no parameters here", "no parameters here"},
    {"", "the runtime gave no reason"},
    {"\n\n", "the runtime gave no reason"},
    {"Load model from x failed:", "the runtime gave no reason"},
};

static void leaves_what_matters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        size_t len = ort_message_clean(slice_from_str(cases[i].message), text, sizeof(text));
        assert_string_equal(text, cases[i].clean);
        assert_int_equal(len, strlen(text));
    }
}

static void fits_any_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (size_t size = 1; size < 64; size++) {
            char text[64];
            memset(text, 'x', sizeof(text));
            size_t len = ort_message_clean(slice_from_str(cases[i].message), text, size);
            assert_true(len < size);
            assert_int_equal(text[len], '\0');
            assert_true(size == sizeof(text) || text[size] == 'x');
        }
    }
}

static void tells_the_machine_from_the_input(void **state)
{
    (void)state;
    assert_true(ort_message_blames_machine(
        SLICE("Failed to allocate memory for requested buffer of size 4398046511104")));
    assert_true(ort_message_blames_machine(SLICE("std::bad_alloc")));
    assert_true(ort_message_blames_machine(SLICE("CUDA failure 700: an illegal memory access")));
    assert_false(ort_message_blames_machine(SLICE("indices element out of data bounds, idx=99")));
    assert_false(ort_message_blames_machine(SLICE("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_what_matters),
        cmocka_unit_test(fits_any_room),
        cmocka_unit_test(tells_the_machine_from_the_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
