"""The calls of the API, one module for each subject: `health`, `model`, `predictions`, `months`, `places`, `batches`.

What belongs here: how a call reads its parameters and what it answers with. What it computes belongs beside this
package, where it can be tested without HTTP.

To add a call, write it in the module of its subject, its answer as a struct in `housing_serving.schemas`, and a test in
`tests/serving`. Access, limits, ids, metrics, errors and OpenAPI need nothing further. A module for a new subject is
also named in `housing_serving.app.create_app`.
"""
