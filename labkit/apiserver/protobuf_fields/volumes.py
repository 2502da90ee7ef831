"""The core group: volumes, claims, and the many sources of volumes."""

from __future__ import annotations

VOLUMES = {
    "Volume": "name *VolumeSource",
    "HostPathVolumeSource": "path type?",
    "EmptyDirVolumeSource": "medium sizeLimit -",
    "GCEPersistentDiskVolumeSource": "pdName fsType partition readOnly",
    "AWSElasticBlockStoreVolumeSource": "volumeID fsType partition readOnly",
    "GitRepoVolumeSource": "repository revision directory",
    "SecretVolumeSource": "secretName items defaultMode? optional? -",
    "KeyToPath": "key path mode? -",
    "NFSVolumeSource": "server path readOnly",
    "ISCSIVolumeSource": (
        "targetPortal iqn lun iscsiInterface fsType readOnly portals chapAuthDiscovery - "
        "secretRef chapAuthSession initiatorName?"
    ),
    "GlusterfsVolumeSource": "endpoints path readOnly",
    "PersistentVolumeClaimVolumeSource": "claimName readOnly",
    "RBDVolumeSource": "monitors image fsType pool user keyring secretRef readOnly",
    "FlexVolumeSource": "driver fsType secretRef readOnly options",
    "CinderVolumeSource": "volumeID fsType readOnly secretRef",
    "CephFSVolumeSource": "monitors path user secretFile secretRef readOnly",
    "FlockerVolumeSource": "datasetName datasetUUID",
    "DownwardAPIVolumeSource": "items defaultMode? -",
    "DownwardAPIVolumeFile": "path fieldRef resourceFieldRef mode? -",
    "FCVolumeSource": "targetWWNs lun? fsType readOnly wwids",
    "AzureFileVolumeSource": "secretName shareName readOnly",
    "ConfigMapVolumeSource": "*LocalObjectReference items defaultMode? optional? -",
    "VsphereVirtualDiskVolumeSource": "volumePath fsType storagePolicyName storagePolicyID",
    "QuobyteVolumeSource": "registry volume readOnly user group tenant",
    "AzureDiskVolumeSource": "diskName diskURI cachingMode? fsType? readOnly? kind?",
    "PhotonPersistentDiskVolumeSource": "pdID fsType",
    "ProjectedVolumeSource": "sources defaultMode? -",
    "VolumeProjection": (
        "secret downwardAPI configMap serviceAccountToken clusterTrustBundle podCertificate"
    ),
    "SecretProjection": "*LocalObjectReference items - optional?",
    "DownwardAPIProjection": "items",
    "ConfigMapProjection": "*LocalObjectReference items - optional?",
    "ServiceAccountTokenProjection": "audience expirationSeconds? path -",
    "ClusterTrustBundleProjection": "name? signerName? labelSelector path optional? -",
    "PodCertificateProjection": (
        "signerName keyType maxExpirationSeconds? credentialBundlePath keyPath "
        "certificateChainPath userAnnotations -"
    ),
    "PortworxVolumeSource": "volumeID fsType readOnly",
    "ScaleIOVolumeSource": (
        "gateway system secretRef sslEnabled protectionDomain storagePool storageMode volumeName "
        "fsType readOnly"
    ),
    "StorageOSVolumeSource": "volumeName volumeNamespace fsType readOnly secretRef",
    "CSIVolumeSource": "driver readOnly? fsType? volumeAttributes nodePublishSecretRef",
    "EphemeralVolumeSource": "volumeClaimTemplate",
    "PersistentVolumeClaimTemplate": "metadata spec",
    "PersistentVolumeClaimSpec": (
        "accessModes resources volumeName selector storageClassName? volumeMode? dataSource "
        "dataSourceRef volumeAttributesClassName?"
    ),
    "VolumeResourceRequirements": "limits requests",
    "TypedLocalObjectReference": "apiGroup? kind name",
    "TypedObjectReference": "apiGroup? kind name namespace?",
    "ImageVolumeSource": "reference pullPolicy",
    "AttachedVolume": "name devicePath",
    "PersistentVolume": "metadata spec status",
    "PersistentVolumeSpec": (
        "capacity *PersistentVolumeSource accessModes claimRef persistentVolumeReclaimPolicy "
        "storageClassName mountOptions volumeMode? nodeAffinity volumeAttributesClassName?"
    ),
    "GlusterfsPersistentVolumeSource": "endpoints path readOnly endpointsNamespace?",
    "RBDPersistentVolumeSource": "monitors image fsType pool user keyring secretRef readOnly",
    "ISCSIPersistentVolumeSource": (
        "targetPortal iqn lun iscsiInterface fsType readOnly portals chapAuthDiscovery - "
        "secretRef chapAuthSession initiatorName?"
    ),
    "CinderPersistentVolumeSource": "volumeID fsType readOnly secretRef",
    "CephFSPersistentVolumeSource": "monitors path user secretFile secretRef readOnly",
    "FlexPersistentVolumeSource": "driver fsType secretRef readOnly options",
    "AzureFilePersistentVolumeSource": "secretName shareName readOnly secretNamespace?",
    "ScaleIOPersistentVolumeSource": (
        "gateway system secretRef sslEnabled protectionDomain storagePool storageMode volumeName "
        "fsType readOnly"
    ),
    "LocalVolumeSource": "path fsType?",
    "StorageOSPersistentVolumeSource": "volumeName volumeNamespace fsType readOnly secretRef",
    "CSIPersistentVolumeSource": (
        "driver volumeHandle readOnly fsType volumeAttributes controllerPublishSecretRef "
        "nodeStageSecretRef nodePublishSecretRef controllerExpandSecretRef nodeExpandSecretRef"
    ),
    "VolumeNodeAffinity": "required",
    "PersistentVolumeStatus": "phase message reason lastPhaseTransitionTime",
    "PersistentVolumeClaim": "metadata spec status",
    "PersistentVolumeClaimStatus": (
        "phase accessModes capacity conditions allocatedResources - allocatedResourceStatuses "
        "currentVolumeAttributesClassName? modifyVolumeStatus -"
    ),
    "PersistentVolumeClaimCondition": "type status lastProbeTime lastTransitionTime reason message",
    "ModifyVolumeStatus": "targetVolumeAttributesClassName status",
}
