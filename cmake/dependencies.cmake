# Third-party libraries, each from the distribution or, where it lacks them, from .deps/ (made by
# scripts/setup). The ONNX Runtime library itself, and libcurl, are loaded at run time: only their
# headers are needed.
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
add_library(deps::zlib ALIAS ZLIB::ZLIB)

file(GLOB onnxd_deps_libdirs "${ONNXD_DEPS}/usr/lib/*-linux-gnu")
list(PREPEND CMAKE_PREFIX_PATH "${ONNXD_DEPS}/usr")

function(onnxd_dependency name header library)
  find_path(${name}_INCLUDE_DIR ${header} HINTS "${ONNXD_DEPS}/usr/include"
            PATH_SUFFIXES "" onnxruntime onnxruntime/core/session REQUIRED)
  add_library(deps_${name} INTERFACE)
  add_library(deps::${name} ALIAS deps_${name})
  target_include_directories(deps_${name} SYSTEM INTERFACE ${${name}_INCLUDE_DIR})
  if(library)
    find_library(${name}_LIBRARY NAMES ${library} HINTS ${onnxd_deps_libdirs} REQUIRED)
    target_link_libraries(deps_${name} INTERFACE ${${name}_LIBRARY})
  endif()
endfunction()

# The static form of a library where there is one: fewer files to ship.
onnxd_dependency(llhttp llhttp.h "libllhttp.a;llhttp")
onnxd_dependency(nghttp2 nghttp2/nghttp2.h nghttp2)
onnxd_dependency(yyjson yyjson.h yyjson)
onnxd_dependency(protobuf_c protobuf-c/protobuf-c.h "libprotobuf-c.a;protobuf-c")
onnxd_dependency(onnxruntime_headers onnxruntime_c_api.h "")
onnxd_dependency(curl_headers curl/curl.h "")

# The binary finds .deps/ libraries where they were at build time.
set(CMAKE_BUILD_RPATH ${onnxd_deps_libdirs})
