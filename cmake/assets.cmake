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
onnxd_asset(ui_html "${CMAKE_SOURCE_DIR}/docs/ui/ui.html" GZIP)
onnxd_asset(favicon_png "${onnxd_swagger_ui}/favicon-32x32.png")

# The page at /ui is one file. Its Content-Security-Policy names what stands between <TAG> and </TAG>
# there by its hash, in base64 (RFC 4648 section 4): 33 bytes are 11 groups of four letters, and as
# SHA-256 has 32, the last letter is "=".
function(onnxd_hash_element file tag ret_source)
  file(READ "${file}" page)
  string(FIND "${page}" "<${tag}>" from)
  string(FIND "${page}" "</${tag}>" to)
  string(LENGTH "<${tag}>" opening)
  math(EXPR from "${from} + ${opening}")
  math(EXPR length "${to} - ${from}")
  string(SUBSTRING "${page}" ${from} ${length} element)
  string(SHA256 digits "${element}")
  set(alphabet "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  set(letters "")
  foreach(at RANGE 0 60 6)
    string(SUBSTRING "${digits}00" ${at} 6 group)
    foreach(shift 18 12 6 0)
      math(EXPR letter "(0x${group} >> ${shift}) & 63")
      string(SUBSTRING "${alphabet}" ${letter} 1 letter)
      string(APPEND letters "${letter}")
    endforeach()
  endforeach()
  string(REGEX REPLACE "A$" "=" letters "${letters}")
  set(${ret_source} "sha256-${letters}" PARENT_SCOPE)
endfunction()

set(onnxd_ui_page "${CMAKE_SOURCE_DIR}/docs/ui/ui.html")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${onnxd_ui_page}")
onnxd_hash_element("${onnxd_ui_page}" script onnxd_ui_script)
onnxd_hash_element("${onnxd_ui_page}" style onnxd_ui_style)
set_source_files_properties(src/serve/assets.c PROPERTIES COMPILE_DEFINITIONS
  "ASSET_UI_SCRIPT=\"${onnxd_ui_script}\";ASSET_UI_STYLE=\"${onnxd_ui_style}\"")

file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/assets")
set(onnxd_assets_source "${CMAKE_BINARY_DIR}/assets/assets.S")
file(CONFIGURE OUTPUT "${onnxd_assets_source}" @ONLY
     CONTENT "    .section .rodata\n@onnxd_assets_assembly@    .section .note.GNU-stack,\"\",%progbits\n")
set_source_files_properties("${onnxd_assets_source}" PROPERTIES OBJECT_DEPENDS "${onnxd_assets_files}")
target_sources(serve PRIVATE "${onnxd_assets_source}")
