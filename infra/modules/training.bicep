// In the workspace, new or not: the cluster that trains, and the datastore through which it reads frozen rows.
// Serverless compute has no identity of its own, so it could not read a datastore without a credential.
param tags object
param workspaceName string
param clusterName string
param trainingIdentityId string
param instanceType string
param machines int
param subnetId string
param dataAccountName string
param dataSubscriptionId string
param dataGroupName string

var subnet = { id: subnetId }

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' existing = {
  name: workspaceName
}

resource cluster 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  parent: workspace
  name: clusterName
  location: workspace.location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${trainingIdentityId}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: instanceType
      vmPriority: 'Dedicated'
      remoteLoginPortPublicAccess: 'Disabled'
      subnet: empty(subnetId) ? null : subnet
      scaleSettings: {
        minNodeCount: 0
        maxNodeCount: machines
        nodeIdleTimeBeforeScaleDown: 'PT5M'
      }
    }
  }
}

resource frozen 'Microsoft.MachineLearningServices/workspaces/datastores@2025-06-01' = {
  parent: workspace
  name: 'droptune_frozen'
  properties: {
    datastoreType: 'AzureBlob'
    description: 'Exactly the rows that are trained on; read by the identity of the machines.'
    accountName: dataAccountName
    containerName: 'frozen'
    endpoint: environment().suffixes.storage
    protocol: 'https'
    subscriptionId: dataSubscriptionId
    resourceGroup: dataGroupName
    serviceDataAccessAuthIdentity: 'None'
    credentials: {
      credentialsType: 'None'
    }
  }
}
