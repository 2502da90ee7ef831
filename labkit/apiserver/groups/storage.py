"""The group storage.k8s.io: who provides volumes, and where they are attached.

Source: k8s.io/kubernetes pkg/registry/storage.
"""

from __future__ import annotations

from labkit.apiserver import defaults_storage, validate_storage
from labkit.apiserver.registration import row
from labkit.apiserver.strategy import Strategy
from labkit.kube import resources

STORAGE_CLASS = Strategy(
    returns_deleted=True,
    default=defaults_storage.storage_class,
    validate=validate_storage.storage_class,
    validate_update=validate_storage.storage_class_update,
)
CSI_DRIVER = Strategy(
    returns_deleted=True,
    default=defaults_storage.csi_driver,
    validate=validate_storage.csi_driver,
    validate_update=validate_storage.csi_driver_update,
    needs_version=True,
)
CSI_NODE = Strategy(
    returns_deleted=True,
    default=defaults_storage.csi_node,
    validate=validate_storage.csi_node,
    needs_version=True,
)
CSI_STORAGE_CAPACITY = Strategy(
    default=defaults_storage.csi_storage_capacity,
    validate=validate_storage.csi_storage_capacity,
    validate_update=validate_storage.csi_storage_capacity_update,
    needs_version=True,
)
VOLUME_ATTACHMENT = Strategy(
    returns_deleted=True,
    validate=validate_storage.volume_attachment,
    validate_update=validate_storage.volume_attachment_update,
    initial_status={"attached": False},
    needs_version=True,
)

ROWS = (
    row(resources.STORAGE_CLASSES, STORAGE_CLASS, short="sc"),
    row(resources.CSI_DRIVERS, CSI_DRIVER),
    row(resources.CSI_NODES, CSI_NODE),
    row(resources.CSI_STORAGE_CAPACITIES, CSI_STORAGE_CAPACITY),
    row(resources.VOLUME_ATTACHMENTS, VOLUME_ATTACHMENT, subresources="status"),
)
