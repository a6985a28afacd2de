"""The attributes of the played Outreach, as the vendor's schema states them: one word each.

`name[:type[:longest[:flags]]]`: no type is a text, no length of a text is 255 (0: no limit); flags R read-only, F filterable,
S sortable. A word ending in `1..N` stands for N numbered attributes. The schema bounds the reply actions of a sequence at
four letters, which none of their documented values fits: they are left at 255.
"""

from __future__ import annotations

ACCOUNT = """
annualRevenueRange buyerIntentScore:number::FS companyType createdAt:datetime::RFS custom1..150::32000 customId:::FS
description::65535 domain:::FS externalSource followers:integer foundedAt:datetime industry linkedInEmployees:integer
linkedInUrl::1000 locality naicsCodes:array name:::FS named:boolean::FS naturalName numberOfEmployees:integer sharingTeamId:::F
sicCodes:array tags:array tickerSymbol touchedAt:datetime::RFS updatedAt:datetime::RFS websiteUrl
"""
PROSPECT = """
addedAt:datetime addressCity addressCountry addressState addressStreet addressStreet2 addressZip angelListUrl availableAt:datetime
callOptedOut:boolean callsOptStatus callsOptedAt:datetime::R campaignName clickCount:integer::R company::0
contactHistogram:array::R createdAt:datetime::RFS custom1..150::32000 dateOfBirth:date degree emailOptedOut:boolean
emails:array::F emailsOptStatus emailsOptedAt:datetime::R engagedAt:datetime::RFS engagedScore:number::RFS eventName externalId
externalOwner externalSource:::FS facebookUrl firstName:::FS gender githubUrl::1000 githubUsername:::FS googlePlusUrl
graduationDate:date homePhones:array jobStartDate:date lastName:::FS linkedInConnections:integer linkedInId:::FS
linkedInSlug:::RFS linkedInUrl::1000 middleName mobilePhones:array name::0:R nickname occupation openCount:integer::R
optedOut:boolean optedOutAt:datetime::R otherPhones:array personalNote1::65535 personalNote2::65535 preferredContact quoraUrl
region replyCount:integer::R school score:number sharingTeamId:::F source specialties::65535 stackOverflowId:::FS
stackOverflowUrl::1000 tags:array timeZone:::F timeZoneIana::0:R timeZoneInferred:::R title:::FS touchedAt:datetime::RFS
trashedAt:datetime twitterUrl::1000 twitterUsername:::FS updatedAt:datetime::RFS voipPhones:array websiteUrl1::65535
websiteUrl2::65535 websiteUrl3::65535 workPhones:array
"""
USER = """
accountsViewId:integer activityNotificationsDisabled:boolean bounceWarningEmailEnabled:boolean bridgePhone bridgePhoneExtension
callsViewId:integer controlledTabDefault createdAt:datetime::RFS currentSignInAt:datetime::RFS custom1..5::225
dailyDigestEmailEnabled:boolean defaultRulesetId:integer duties:object email:::FS enableVoiceRecordings:boolean
engagementEmailsEnabled:boolean firstName:::FS inboundBridgePhone inboundBridgePhoneExtension inboundCallBehavior inboundPhoneType
inboundVoicemailCustomMessageText::1024 inboundVoicemailMessageTextVoice inboundVoicemailPromptType jobRoleByName
kaiaRecordingsViewId:integer keepBridgePhoneConnected:boolean lastName:::FS lastSignInAt:datetime::R locked:boolean::FS
mailboxErrorEmailEnabled:boolean meetingEngagementNotificationEnabled:boolean name::0:R notificationsEnabled:boolean
oceClickToDialEverywhere:boolean oceGmailToolbar:boolean oceGmailTrackingState oceSalesforceEmailDecorating:boolean
oceSalesforcePhoneDecorating:boolean oceUniversalTaskFlow:boolean oceWindowMode:boolean opportunitiesViewId:integer
passwordExpiresAt:datetime::R phoneCountryCode::2 phoneNumber::0 phoneType pluginAlertNotificationEnabled:boolean
preferredVoiceRegion prefersLocalPresence:boolean prospectsViewId:integer reportsTeamPerfViewId:integer reportsViewId:integer
scimExternalId scimSource senderNotificationsExcluded:boolean tasksViewId:integer teamsViewId:integer
textingEmailNotifications:boolean title unknownReplyEmailEnabled:boolean updatedAt:datetime::RFS userGuid::0:R username:::FS
usersViewId:integer voicemailNotificationEnabled:boolean weeklyDigestEmailEnabled:boolean
"""
TASK = """
action autoskipAt:datetime::FS compiledSequenceTemplateHtml::0:R completed:boolean::R completedAt:datetime::R
createdAt:datetime::RFS dueAt:datetime::FS note::65535 opportunityAssociation scheduledAt:datetime::RFS state:::RFS
stateChangedAt:datetime::RFS taskType:::RFS updatedAt:datetime::RFS
"""
SEQUENCE = """
automationPercentage:number::R bounceCount:integer::R clickCount:integer::RFS createdAt:datetime::RFS deliverCount:integer::RFS
description::1024 durationInDays:integer::R enabled:boolean::R enabledAt:datetime::RFS failureCount:integer::R
finishOnReply:boolean lastUsedAt:datetime::RFS locked:boolean::R lockedAt:datetime::RFS maxActivations:integer name:::FS
negativeReplyCount:integer::R neutralReplyCount:integer::R numContactedProspects:integer::R numRepliedProspects:integer::R
openCount:integer::RFS optOutCount:integer::R positiveReplyCount:integer::R primaryReplyAction
primaryReplyPauseDuration:integer replyCount:integer::RFS salesMotion:::F scheduleCount:integer::R scheduleIntervalType
secondaryReplyAction secondaryReplyPauseDuration:integer sequenceStepCount:integer::R sequenceType shareType:::FS tags:array
throttleCapacity:integer::FS throttleMaxAddsPerDay:integer::FS throttlePaused:boolean throttlePausedAt:datetime::R
transactional:boolean updatedAt:datetime::RFS
"""
SEQUENCE_STATE = """
activeAt:datetime::R bounceCount:integer::R callCompletedAt:datetime::RFS clickCount:integer::RFS createdAt:datetime::RFS
deliverCount:integer::RFS errorReason:::R failureCount:integer::R negativeReplyCount:integer::R neutralReplyCount:integer::R
openCount:integer::RFS optOutCount:integer::R pauseReason:::RFS positiveReplyCount:integer::R repliedAt:datetime::RFS
replyCount:integer::RFS scheduleCount:integer::R state:::RFS stateChangedAt:datetime::RFS updatedAt:datetime::RFS
"""
MAILING = """
bodyHtml::0 bodyText::0:R bouncedAt:datetime::RFS clickCount:integer::R clickedAt:datetime::RFS createdAt:datetime::RFS
deliveredAt:datetime::RFS errorBacktrace::0:R errorReason:::R followUpTaskScheduledAt:datetime followUpTaskType
mailboxAddress::0:R mailingType:::RFS markedAsSpamAt:datetime::R messageId:::RFS notifyThreadCondition:::R
notifyThreadScheduledAt:datetime::RFS notifyThreadStatus:::RFS openCount:integer::R openedAt:datetime::RFS
overrideSafetySettings:boolean::R references:array::R repliedAt:datetime::RFS retryAt:datetime::RFS retryCount:integer::R
retryInterval:integer::R scheduledAt:datetime::FS state:::FS stateChangedAt:datetime::RFS subject::0 trackLinks:boolean
trackOpens:boolean unsubscribedAt:datetime::RFS updatedAt:datetime::RFS
"""
# The vendor's OpenAPI, resource "call": a log entry of one call, which can be made and deleted, and not changed.
CALL = """
answeredAt:datetime completedAt:datetime createdAt:datetime::RFS dialedAt:datetime direction externalVendor from:::FS
note::65535 outcome:::FS recordingUrl:::FS returnedAt:datetime sequenceAction shouldRecordCall:boolean state:::RFS
stateChangedAt:datetime::R tags:array to:::FS uid:::R updatedAt:datetime::RFS userCallType:::FS vendorCallId::63
voicemailRecordingUrl::1024:R
"""
MAILBOX = """
authId:integer createdAt:datetime::RFS editable:boolean::R email:::FS emailHash emailProvider emailSignature::65535 ewsEndpoint
ewsSslVerifyMode:integer exchangeVersion imapHost imapPort:integer imapSsl:boolean maxEmailsPerDay:integer
maxMailingsPerDay:integer maxMailingsPerWeek:integer optOutMessage::512 optOutSignature::512 password::65535
prospectEmailExclusions::65535 providerId:integer::R providerType:::R sendDisabled:boolean sendErroredAt:datetime::R
sendMaxRetries:integer sendMethod sendPeriod:integer sendRequiresSync:boolean sendSuccessAt:datetime::R sendThreshold:integer
sendgridApiKey::65535 sendgridWebhookUrl::0:R smtpHost smtpPassword::65535 smtpPort:integer smtpSsl:boolean smtpUsername
syncActiveFrequency:integer syncDisabled:boolean syncErroredAt:datetime::R syncFinishedAt:datetime::R syncMethod
syncOutreachFolder:boolean syncPassiveFrequency:integer syncSuccessAt:datetime::R updatedAt:datetime::RFS userId:integer::RFS
username validateSend:boolean validateSync:boolean
"""
EMAIL_ADDRESS = """
createdAt:datetime::R email:::FS emailType:::FS order:integer::FS status:::FS statusChangedAt:datetime::RFS
unsubscribedAt:datetime::RFS updatedAt:datetime::RFS
"""
PHONE_NUMBER = """
countryCode createdAt:datetime::R extension number:::FS order:integer::FS phoneType:::FS rawNumber status:::FS
statusChangedAt:datetime::RFS updatedAt:datetime::RFS
"""
STAGE = """
color createdAt:datetime::RFS name:::FS order:integer::FS updatedAt:datetime::RFS
"""
OPPORTUNITY = """
amount:integer::S amountPrecise::15:S closeDate:datetime::S createdAt:datetime::RFS currencyType custom1..150::32000 customId:::FS
description::65535 externalCreatedAt:datetime::F externalUpdatedAt:datetime forecastCategory::32000:FS leadSource::32000:FS
lostReason::32000:FS mapLink:::F mapNextSteps mapStatus:::FS name:::FS nextStep::65535 opportunityType probability:integer::FS
prospectingRepId recordType::32000:FS sharingTeamId:::F tags:array touchedAt:datetime::RFS trashedAt:datetime
updatedAt:datetime::RFS
"""
WEBHOOK = """
action:::FS active:boolean::FS createdAt:datetime::R disabledReason::1024:R disabledSince:datetime::R disabledUntil:datetime::R
payloadVersion:integer resource:::FS secret updatedAt:datetime::R url::1024
"""
BATCH = """
action:::F canceledAt:datetime confirmCount:integer::R confirmedAt:datetime::R confirmedCountRequired:boolean::R
createdAt:datetime::RS externalStartPayload::16777215 failures:integer::R finishedAt:datetime::S payload:object pending:integer::R
startedAt:datetime state:::FS summary:object total:integer::RFS updatedAt:datetime::R
"""
BATCH_ITEM = """
batchId:integer::RFS createdAt:datetime::R data::16777215 failed:boolean::RFS info::767 state:::RFS
"""
