/*
 * The table of embedded files. Their bytes come from an assembly file that cmake/assets.cmake
 * writes; here each gets its path and its type.
 */
#include "serve/assets.h"

#define EMBEDDED(name) extern const char asset_##name[], asset_##name##_end[]

EMBEDDED(openapi_yaml);
EMBEDDED(docs_html);
EMBEDDED(docs_js);
EMBEDDED(docs_css);
EMBEDDED(swagger_ui_bundle_js);
EMBEDDED(swagger_ui_css);
EMBEDDED(favicon_png);
EMBEDDED(ui_html);

/*
 * The page runs the service's own scripts and talks to the service only. Swagger UI draws its icons
 * from data: URLs. No inline script, no eval, no frame around it.
 */
#define PAGE_POLICY                                                                                \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/*
 * The other page is one file: the script and the style that stand in it are the only ones that may
 * run, by the hashes that the build has taken of them (CSP Level 3, section 6.7.2.3). Its icon is a
 * data: URL.
 */
#define UI_POLICY                                                                                  \
    "default-src 'none'; script-src '" ASSET_UI_SCRIPT "'; style-src '" ASSET_UI_STYLE             \
    "'; img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "                  \
    "frame-ancestors 'none'"

/* SLICE as a constant initialiser. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        (literal), sizeof(literal) - 1                                                             \
    }
#define BYTES(name) asset_##name, asset_##name##_end

#define HTML TEXT("text/html; charset=utf-8")
#define SCRIPT TEXT("text/javascript; charset=utf-8")
#define STYLE TEXT("text/css; charset=utf-8")
#define NO_POLICY                                                                                  \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static const struct asset assets[] = {
    {TEXT("/docs"), HTML, TEXT(PAGE_POLICY), BYTES(docs_html), false},
    {TEXT("/docs/docs.js"), SCRIPT, NO_POLICY, BYTES(docs_js), false},
    {TEXT("/docs/docs.css"), STYLE, NO_POLICY, BYTES(docs_css), false},
    {TEXT("/docs/swagger-ui-bundle.js"), SCRIPT, NO_POLICY, BYTES(swagger_ui_bundle_js), true},
    {TEXT("/docs/swagger-ui.css"), STYLE, NO_POLICY, BYTES(swagger_ui_css), true},
    {TEXT("/docs/favicon.png"), TEXT("image/png"), NO_POLICY, BYTES(favicon_png), false},
    {TEXT("/ui"), HTML, TEXT(UI_POLICY), BYTES(ui_html), true},
};

const struct asset *asset_find(struct slice path)
{
    for (size_t i = 0; i < sizeof(assets) / sizeof(assets[0]); i++) {
        if (slice_eq(assets[i].path, path)) {
            return &assets[i];
        }
    }
    return NULL;
}

struct slice asset_openapi(void)
{
    return slice_make(asset_openapi_yaml, (size_t)(asset_openapi_yaml_end - asset_openapi_yaml));
}
