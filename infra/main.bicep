// Everything that Droptune needs in Azure, from nothing: `azd up`. docs/deploy.md says what it costs and who may do it.
targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of the environment: it is in the tag azd-env-name and, hashed, in every name.')
param environmentName string

@minLength(1)
@description('Region of everything that is made here.')
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Resource group; empty: rg-<environment>.')
param resourceGroupName string = ''

@description('Whether the resource group is made; false: it is there, and taking everything down leaves it there.')
param createResourceGroup bool = true

@description('Object id of the person or program that deploys, who may then upload files; empty: nobody may yet.')
param principalId string = ''

@description('What that principal is.')
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param principalType string = 'User'

@description('Memory of an instance of the app, in MB.')
@allowed([
  512
  2048
  4096
])
param instanceMemory int = 2048

@minValue(1)
@maxValue(1000)
@description('Most instances of the app at once.')
param maximumInstances int = 40

@minValue(0)
@maxValue(1000)
@description('Instances that always wait for a question; each is paid by the hour.')
param alwaysReady int = 0

@description('Id of an Azure ML workspace that is there already; empty: one is made.')
param existingWorkspaceId string = ''

@description('Machine size of the cluster that trains.')
param trainingInstanceType string = 'Standard_NC24ads_A100_v4'

@description('Machine size that serves models.')
param servingInstanceType string = 'Standard_NC24ads_A100_v4'

@minValue(1)
@maxValue(64)
@description('Most machines of the cluster at once; none runs while nothing trains.')
param trainingMachines int = 1

@description('Further settings of the app by name, as docs/settings.md has them; values are texts.')
param settings object = {}

@description('Whether the app gets its role on the subscription here; false: the output SUBSCRIPTION_ROLE_COMMAND says what an administrator runs.')
param assignSubscriptionRole bool = true

@description('Whether an Event Grid topic is told what people wait for.')
param notifications bool = false

@description('Whether storage is reached through a network of its own only.')
param privateNetwork bool = false

@description('Who is mailed when something is wrong; empty: nobody.')
param alertEmail string = ''

@minValue(1)
@description('An endpoint that is up for longer, in days, is worth a mail.')
param endpointAgeDays int = 14

@minValue(0)
@description('Budget of the resource group a month, in the currency of the subscription; 0: none. It warns, it stops nothing.')
param monthlyBudget int = 0

@description('First day of the budget, which cannot be changed later: azd keeps the first one.')
param budgetStart string = ''

@description('Whether the scoring key was made by an earlier deployment: azd keeps that, so that the key stays the same.')
param scoringKeyMade bool = false

@secure()
@description('The scoring key, made at random; used in the first deployment only and never shown.')
param newScoringKey string = '${newGuid()}${newGuid()}'

@secure()
@description('The key that opens the page, made at random; used in the first deployment only and never shown.')
param newPageKey string = '${newGuid()}${newGuid()}'

@description('First day of this month.')
param thisMonth string = utcNow('yyyy-MM-01')

var token = uniqueString(subscription().id, environmentName, location)
var groupName = empty(resourceGroupName) ? 'rg-${environmentName}' : resourceGroupName
var tags = { 'azd-env-name': environmentName }
var budgetFrom = empty(budgetStart) ? thisMonth : budgetStart
var identityName = 'droptune-app-${token}'
var monitoringReader = '43d0d8ad-25c7-4714-9337-8ba259a9fe05'

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = if (createResourceGroup) {
  name: groupName
  location: location
  tags: tags
}

module identities 'modules/identities.bicep' = {
  name: 'identities'
  scope: resourceGroup(groupName)
  params: {
    location: location
    tags: tags
    appIdentityName: identityName
    trainingIdentityName: 'droptune-training-${token}'
  }
  dependsOn: [
    group
  ]
}

module droptune 'modules/droptune.bicep' = {
  name: 'droptune'
  scope: resourceGroup(groupName)
  params: {
    location: location
    tags: tags
    token: token
    appIdentityId: identities.outputs.appId
    appClientId: identities.outputs.appClientId
    appPrincipalId: identities.outputs.appPrincipalId
    trainingIdentityId: identities.outputs.trainingId
    trainingPrincipalId: identities.outputs.trainingPrincipalId
    deployerId: principalId
    deployerType: principalType
    instanceMemory: instanceMemory
    maximumInstances: maximumInstances
    alwaysReady: alwaysReady
    existingWorkspaceId: existingWorkspaceId
    trainingInstanceType: trainingInstanceType
    servingInstanceType: servingInstanceType
    trainingMachines: trainingMachines
    settings: settings
    notifications: notifications
    privateNetwork: privateNetwork
    alertEmail: alertEmail
    endpointAgeDays: endpointAgeDays
    monthlyBudget: monthlyBudget
    budgetFrom: budgetFrom
    makeScoringKey: !scoringKeyMade
    readerNeeded: !assignSubscriptionRole
    scoringKey: newScoringKey
    pageKey: newPageKey
  }
}

module subscriptionRole 'modules/roles-subscription.bicep' = if (assignSubscriptionRole) {
  name: 'droptune-subscription-role-${token}'
  params: {
    appPrincipalId: identities.outputs.appPrincipalId
  }
}

output AZURE_LOCATION string = location
output AZURE_RESOURCE_GROUP string = groupName
output AZURE_TENANT_ID string = tenant().tenantId
output DROPTUNE_RESOURCE_MANAGER string = environment().resourceManager
output DROPTUNE_APP_ID string = droptune.outputs.appId
output DROPTUNE_APP_NAME string = droptune.outputs.appName
output DROPTUNE_APP_URL string = droptune.outputs.appUrl
output DROPTUNE_DATA_ACCOUNT string = droptune.outputs.dataAccountName
output DROPTUNE_DATA_ACCOUNT_ID string = droptune.outputs.dataAccountId
output DROPTUNE_STORAGE_TOPIC_ID string = droptune.outputs.storageTopicId
output DROPTUNE_WORKSPACE_TOPIC_ID string = droptune.outputs.workspaceTopicId
output DROPTUNE_WORKSPACE_ID string = droptune.outputs.workspaceId
output DROPTUNE_WORKSPACE_MADE bool = empty(existingWorkspaceId)
output DROPTUNE_GROUP_MADE bool = createResourceGroup
output DROPTUNE_VAULT string = droptune.outputs.vaultName
output DROPTUNE_SCORING_KEY_MADE bool = true
output DROPTUNE_BUDGET_START string = budgetFrom
output SUBSCRIPTION_ROLE_COMMAND string = assignSubscriptionRole ? '' : 'az role assignment create --assignee-object-id ${identities.outputs.appPrincipalId} --assignee-principal-type ServicePrincipal --role ${monitoringReader} --scope ${subscription().id}'
