# The gRPC services of proto/: C code from protobuf-c (target protos), and the descriptors, which the
# binary serves by reflection, between the symbols proto_descriptors and proto_descriptors_end
# (src/rpc/reflection.c).
find_program(ONNXD_PROTOC protoc REQUIRED)
find_program(ONNXD_PROTOC_GEN_C protoc-gen-c REQUIRED)
enable_language(ASM)

set(onnxd_protos
    onnx_serving_grpc/inference.proto
    grpc/health/v1/health.proto
    grpc/reflection/v1/reflection.proto
    grpc/reflection/v1alpha/reflection.proto)
set(onnxd_proto_dir "${CMAKE_SOURCE_DIR}/proto")
set(onnxd_generated_dir "${CMAKE_BINARY_DIR}/proto")
file(MAKE_DIRECTORY "${onnxd_generated_dir}")
list(TRANSFORM onnxd_protos PREPEND "${onnxd_proto_dir}/" OUTPUT_VARIABLE onnxd_proto_files)
list(TRANSFORM onnxd_protos REPLACE "\\.proto$" ".pb-c.c" OUTPUT_VARIABLE onnxd_generated)
list(TRANSFORM onnxd_generated PREPEND "${onnxd_generated_dir}/")
list(TRANSFORM onnxd_generated REPLACE "\\.c$" ".h" OUTPUT_VARIABLE onnxd_generated_headers)

add_custom_command(
  OUTPUT ${onnxd_generated} ${onnxd_generated_headers} DEPENDS ${onnxd_proto_files} VERBATIM
  COMMAND "${ONNXD_PROTOC}" "--plugin=protoc-gen-c=${ONNXD_PROTOC_GEN_C}" "--proto_path=${onnxd_proto_dir}"
          "--c_out=${onnxd_generated_dir}" ${onnxd_protos}
  COMMENT "Generating C from proto/")
add_library(protos STATIC ${onnxd_generated})
target_compile_options(protos PRIVATE -w) # not ours to change
target_include_directories(protos SYSTEM PUBLIC "${onnxd_generated_dir}")
target_link_libraries(protos PUBLIC deps::protobuf_c)

set(onnxd_descriptors "${onnxd_generated_dir}/descriptors.pb")
add_custom_command(
  OUTPUT "${onnxd_descriptors}" DEPENDS ${onnxd_proto_files} VERBATIM
  COMMAND "${ONNXD_PROTOC}" "--proto_path=${onnxd_proto_dir}" --include_imports
          "--descriptor_set_out=${onnxd_descriptors}" ${onnxd_protos}
  COMMENT "Describing proto/")
set(onnxd_descriptors_source "${onnxd_generated_dir}/descriptors.S")
file(CONFIGURE OUTPUT "${onnxd_descriptors_source}" @ONLY CONTENT [[
    .section .rodata
    .global proto_descriptors, proto_descriptors_end
proto_descriptors:
    .incbin "@onnxd_descriptors@"
proto_descriptors_end:
    .byte 0
    .section .note.GNU-stack,"",%progbits
]])
set_source_files_properties("${onnxd_descriptors_source}" PROPERTIES OBJECT_DEPENDS "${onnxd_descriptors}")
target_sources(rpc PRIVATE "${onnxd_descriptors_source}")
