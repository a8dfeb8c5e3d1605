# Files that the binary serves itself, embedded at build time: each becomes the two symbols
# asset_<name> and asset_<name>_end (src/serve/assets.c). Large ones are gzipped first.
set(onnxd_swagger_ui "${ONNXD_DEPS}/swagger-ui")
if(NOT EXISTS "${onnxd_swagger_ui}/swagger-ui-bundle.js")
  message(FATAL_ERROR "${onnxd_swagger_ui} has no Swagger UI: run scripts/setup")
endif()
enable_language(ASM)
find_program(ONNXD_GZIP gzip REQUIRED)

set(onnxd_assets_assembly "")
set(onnxd_assets_files "")

function(onnxd_asset name file)
  cmake_parse_arguments(arg "GZIP" "" "" ${ARGN})
  if(arg_GZIP)
    set(packed "${CMAKE_BINARY_DIR}/assets/${name}.gz")
    add_custom_command(OUTPUT "${packed}" DEPENDS "${file}" VERBATIM
                       COMMAND sh -c "\"$1\" -9 -n -c \"$2\" > \"$3\"" sh "${ONNXD_GZIP}" "${file}" "${packed}"
                       COMMENT "Packing ${name}")
    set(file "${packed}")
  endif()
  string(APPEND onnxd_assets_assembly
         "    .global asset_${name}, asset_${name}_end\n"
         "    .balign 16\n"
         "asset_${name}:\n    .incbin \"${file}\"\nasset_${name}_end:\n    .byte 0\n")
  list(APPEND onnxd_assets_files "${file}")
  set(onnxd_assets_assembly "${onnxd_assets_assembly}" PARENT_SCOPE)
  set(onnxd_assets_files "${onnxd_assets_files}" PARENT_SCOPE)
endfunction()

onnxd_asset(openapi_yaml "${CMAKE_SOURCE_DIR}/docs/openapi.yaml")
onnxd_asset(docs_html "${CMAKE_SOURCE_DIR}/docs/ui/docs.html")
onnxd_asset(docs_js "${CMAKE_SOURCE_DIR}/docs/ui/docs.js")
onnxd_asset(docs_css "${CMAKE_SOURCE_DIR}/docs/ui/docs.css")
onnxd_asset(swagger_ui_bundle_js "${onnxd_swagger_ui}/swagger-ui-bundle.js" GZIP)
onnxd_asset(swagger_ui_css "${onnxd_swagger_ui}/swagger-ui.css" GZIP)
onnxd_asset(favicon_png "${onnxd_swagger_ui}/favicon-32x32.png")

file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/assets")
set(onnxd_assets_source "${CMAKE_BINARY_DIR}/assets/assets.S")
file(CONFIGURE OUTPUT "${onnxd_assets_source}" @ONLY
     CONTENT "    .section .rodata\n@onnxd_assets_assembly@    .section .note.GNU-stack,\"\",%progbits\n")
set_source_files_properties("${onnxd_assets_source}" PROPERTIES OBJECT_DEPENDS "${onnxd_assets_files}")
target_sources(serve PRIVATE "${onnxd_assets_source}")
