"""One row of the table of what is served: identity, names for people, behaviour.

Source: k8s.io/apiserver pkg/registry/rest (Storage, Scoper, ShortNamesProvider,
CategoriesProvider, SingularNameProvider).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.apiserver.strategy import Strategy
from labkit.kube import schema
from labkit.kube.resources import Resource

if TYPE_CHECKING:
    from labkit.apiserver.custom.kind import CustomKind


@dataclass(frozen=True)
class Registration:
    """One served resource.

    `definition` names the kind in Kubernetes' schema.  `storage` is the resource under which
    objects are kept: another version or group of the same thing is converted on the way.
    What is `ephemeral` is created to be answered, and not kept: reviews.  `custom` is what a
    CustomResourceDefinition says of the kind, None for Kubernetes' own.
    """

    resource: Resource
    singular: str
    definition: str
    strategy: Strategy
    storage: Resource
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    subresources: tuple[str, ...] = ()
    ephemeral: bool = False
    custom: CustomKind | None = None

    @property
    def type(self) -> schema.Type:
        """The kind's type: what patches need to know of its fields."""
        return self.custom.type if self.custom else schema.type_of(self.definition)


_PACKAGES = {
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
}


def _definition(resource: Resource) -> str:
    package = _PACKAGES.get(
        resource.group, f"io.k8s.api.{resource.group.partition('.')[0] or 'core'}"
    )
    return f"{package}.{resource.version}.{resource.kind}"


def row(
    resource: Resource,
    strategy: Strategy,
    *,
    short: str = "",
    subresources: str = "",
    categories: str = "",
    storage: Resource | None = None,
    ephemeral: bool = False,
) -> Registration:
    """A row; `short`, `subresources` and `categories` are names with spaces between."""
    return Registration(
        resource=resource,
        singular=resource.kind.lower(),
        definition=_definition(resource),
        strategy=strategy,
        storage=storage or resource,
        short_names=tuple(short.split()),
        categories=tuple(categories.split()),
        subresources=tuple(subresources.split()),
        ephemeral=ephemeral,
    )
