"""Custom resources: kinds that a CustomResourceDefinition adds while the server runs.

In reading order:

- `structural`: what a schema does to an object: pruning, defaulting, no nulls;
- `values`, `formats`, `listtype`, `embedded`: what a schema says against an object, in upstream's
  words;
- `rules`: the same for expressions (CEL, `labkit.kube.cel`);
- `definition`, `definition_versions`, `definition_schema`, `definition_structure`: whether a
  CustomResourceDefinition itself is right;
- `kind`, `versions`: one served version of a definition: a row of the registry with all its
  behaviour;
- `scale`, `apply`: what the subresource and server-side apply need to know of a kind;
- `columns`, `jsonpath`: additionalPrinterColumns as Tables;
- `published`: a schema as OpenAPI;
- `names`, `serving`: the controllers of upstream's apiextensions-apiserver, which accept names,
  establish definitions and clean up behind deleted ones.

Source: k8s.io/apiextensions-apiserver.  Left out: conversion webhooks (conversion `None` alone is
served), several API servers.
"""
