// Everything in the app's own group, and what the workspace gets, wherever it is. Called by main.bicep.
param location string
param tags object
param token string
param appIdentityId string
param appClientId string
param appPrincipalId string
param trainingIdentityId string
param trainingPrincipalId string
param deployerId string
param deployerType string
param instanceMemory int
param maximumInstances int
param alwaysReady int
param existingWorkspaceId string
param trainingInstanceType string
param servingInstanceType string
param trainingMachines int
param settings object
param notifications bool
param privateNetwork bool
param alertEmail string
param endpointAgeDays int
param monthlyBudget int
param budgetFrom string
param makeScoringKey bool
param readerNeeded bool

@secure()
param scoringKey string

@secure()
param pageKey string

var appName = 'droptune-${token}'
var hostAccountName = 'dthost${token}'
var dataAccountName = 'dtdata${token}'
var vaultName = 'droptune-${token}'
var insightsName = 'droptune-insights-${token}'
// Another name than that of the version before, whose input schema was another one: no topic changes that.
var notifyTopicName = 'droptune-notices-${token}'
var networkName = 'droptune-network-${token}'
var clusterName = 'droptune-gpu'
var workspaceStorageName = 'dtml${token}'
var makeWorkspace = empty(existingWorkspaceId)
var newWorkspaceId = resourceId('Microsoft.MachineLearningServices/workspaces', 'droptune-ml-${token}')
var workspaceId = makeWorkspace ? newWorkspaceId : existingWorkspaceId
var workspaceSubscription = split(workspaceId, '/')[2]
var workspaceGroup = split(workspaceId, '/')[4]
var workspaceName = split(workspaceId, '/')[8]
var appSubnetId = privateNetwork ? resourceId('Microsoft.Network/virtualNetworks/subnets', networkName, 'app') : ''
var trainingSubnetId = privateNetwork ? resourceId('Microsoft.Network/virtualNetworks/subnets', networkName, 'training') : ''

module monitoring 'monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    tags: tags
    logsName: 'droptune-logs-${token}'
    insightsName: insightsName
  }
}

module vault 'vault.bicep' = {
  name: 'vault'
  params: {
    location: location
    tags: tags
    vaultName: vaultName
    makeScoringKey: makeScoringKey
    scoringKey: scoringKey
    pageKey: pageKey
  }
}

module hostStorage 'host-storage.bicep' = {
  name: 'host-storage'
  params: {
    location: location
    tags: tags
    accountName: hostAccountName
    codeContainer: 'code'
    privateNetwork: privateNetwork
  }
}

module dataStorage 'data-storage.bicep' = {
  name: 'data-storage'
  params: {
    location: location
    tags: tags
    accountName: dataAccountName
    privateNetwork: privateNetwork
  }
}

module network 'network.bicep' = if (privateNetwork) {
  name: 'network'
  params: {
    location: location
    tags: tags
    token: token
    networkName: networkName
    hostAccountId: hostStorage.outputs.accountId
    dataAccountId: dataStorage.outputs.accountId
  }
}

module workspace 'workspace.bicep' = if (makeWorkspace) {
  name: 'workspace'
  params: {
    location: location
    tags: tags
    workspaceName: workspaceName
    storageName: workspaceStorageName
    vaultName: 'dt-ml-${token}'
    insightsId: monitoring.outputs.insightsId
  }
}

module training 'training.bicep' = {
  name: 'droptune-training-${token}'
  scope: resourceGroup(workspaceSubscription, workspaceGroup)
  params: {
    tags: tags
    workspaceName: workspaceName
    clusterName: clusterName
    trainingIdentityId: trainingIdentityId
    instanceType: trainingInstanceType
    machines: trainingMachines
    subnetId: trainingSubnetId
    dataAccountName: dataAccountName
    dataSubscriptionId: subscription().subscriptionId
    dataGroupName: resourceGroup().name
  }
  dependsOn: [
    workspace
    network
    dataStorage
  ]
}

module storageTopic 'topic-storage.bicep' = {
  name: 'topic-storage'
  params: {
    location: location
    tags: tags
    topicName: 'droptune-uploads-${token}'
    accountId: dataStorage.outputs.accountId
  }
}

module workspaceTopic 'topic-workspace.bicep' = {
  name: 'droptune-topic-${token}'
  scope: resourceGroup(workspaceSubscription, workspaceGroup)
  params: {
    tags: tags
    topicName: 'droptune-runs-${token}'
    workspaceName: workspaceName
  }
  dependsOn: [
    workspace
  ]
}

module notifyTopic 'notifications.bicep' = if (notifications) {
  name: 'notifications'
  params: {
    location: location
    tags: tags
    topicName: notifyTopicName
    appPrincipalId: appPrincipalId
  }
}

module roles 'roles.bicep' = {
  name: 'roles'
  params: {
    appPrincipalId: appPrincipalId
    trainingPrincipalId: trainingPrincipalId
    storageTopicPrincipalId: storageTopic.outputs.principalId
    workspaceTopicPrincipalId: workspaceTopic.outputs.principalId
    deployerId: deployerId
    deployerType: deployerType
    hostAccountName: hostAccountName
    dataAccountName: dataAccountName
    vaultName: vaultName
    insightsName: insightsName
  }
  dependsOn: [
    hostStorage
    dataStorage
    vault
    monitoring
  ]
}

module workspaceRoles 'roles-workspace.bicep' = {
  name: 'droptune-roles-${token}'
  scope: resourceGroup(workspaceSubscription, workspaceGroup)
  params: {
    workspaceName: workspaceName
    appPrincipalId: appPrincipalId
    readerNeeded: readerNeeded
  }
  dependsOn: [
    workspace
  ]
}

module workspaceStorageRoles 'roles-workspace-storage.bicep' = if (makeWorkspace) {
  name: 'roles-workspace-storage'
  params: {
    storageName: workspaceStorageName
    trainingPrincipalId: trainingPrincipalId
  }
  dependsOn: [
    workspace
  ]
}

module app 'app.bicep' = {
  name: 'app'
  params: {
    location: location
    tags: tags
    planName: 'droptune-plan-${token}'
    appName: appName
    identityId: appIdentityId
    codeUri: hostStorage.outputs.codeUri
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    alwaysReady: alwaysReady
    subnetId: appSubnetId
    settings: union(settings, {
      AzureWebJobsStorage__blobServiceUri: hostStorage.outputs.blobUri
      AzureWebJobsStorage__queueServiceUri: hostStorage.outputs.queueUri
      AzureWebJobsStorage__tableServiceUri: hostStorage.outputs.tableUri
      AzureWebJobsStorage__credential: 'managedidentity'
      AzureWebJobsStorage__clientId: appClientId
      APPLICATIONINSIGHTS_CONNECTION_STRING: monitoring.outputs.connectionString
      APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${appClientId};Authorization=AAD'
      DATA__blobServiceUri: dataStorage.outputs.blobUri
      DATA__queueServiceUri: dataStorage.outputs.queueUri
      DATA__credential: 'managedidentity'
      DATA__clientId: appClientId
      AZURE_CLIENT_ID: appClientId
      AZURE_SUBSCRIPTION_ID: workspaceSubscription
      AZURE_RESOURCE_GROUP: workspaceGroup
      AZUREML_WORKSPACE: workspaceName
      RESOURCE_MANAGER: environment().resourceManager
      TRAINING_COMPUTE: clusterName
      TRAINING_DATASTORE: 'droptune_frozen'
      TRAINING_IDENTITY: trainingIdentityId
      TRAINING_INSTANCE_TYPE: trainingInstanceType
      TRAINING_NODES: string(trainingMachines)
      SERVING_INSTANCE_TYPE: servingInstanceType
      SCORING_KEYS: '@Microsoft.KeyVault(SecretUri=${vault.outputs.scoringKeysUri})'
      PAGE_KEYS: '@Microsoft.KeyVault(SecretUri=${vault.outputs.pageKeysUri})'
      NOTIFY_TOPIC: notifications ? notifyTopic!.outputs.endpoint : ''
    })
  }
  dependsOn: [
    roles
    network
  ]
}

module alerts 'alerts.bicep' = if (!empty(alertEmail)) {
  name: 'alerts'
  params: {
    location: location
    tags: tags
    token: token
    email: alertEmail
    logsId: monitoring.outputs.logsId
    appName: appName
    storageTopicId: storageTopic.outputs.id
    endpointAgeDays: endpointAgeDays
  }
}

module budget 'budget.bicep' = if (monthlyBudget > 0 && !empty(alertEmail)) {
  name: 'budget'
  params: {
    amount: monthlyBudget
    firstDay: budgetFrom
    email: alertEmail
  }
}

output appId string = app.outputs.id
output appName string = appName
output appUrl string = app.outputs.url
output dataAccountName string = dataAccountName
output dataAccountId string = dataStorage.outputs.accountId
output storageTopicId string = storageTopic.outputs.id
output workspaceTopicId string = workspaceTopic.outputs.id
output workspaceId string = workspaceId
output vaultName string = vaultName
